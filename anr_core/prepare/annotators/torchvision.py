"""Annotator `torchvision`: Keypoint R-CNN and Mask R-CNN, trained on COCO, as torchvision publishes them.

The one finds people and their 17 keypoints, the other people and their masks; who is who is told by their
boxes. Source: He et al., Mask R-CNN, 2017.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logit

from anr_core.capture.keypoints import SURE
from anr_core.prepare.annotators import Annotator, Person, unavailable
from anr_core.telling import reason

PERSON = 1  # the label of people in both networks
LEAST_SCORE = 0.3  # of a detection; who follows one person also makes use of doubtful ones
LEAST_OVERLAP = 0.5  # intersection over union of the boxes that two networks give the same person

# A keypoint's score is the height of its heatmap's peak, before any softmax. Detectron draws those above 2:
# they are just sure here.
JUST_SURE = 2.0

PATIENCE = 10.0  # seconds; else a network that swallows packets stops the program


def annotator() -> Annotator:
    """The annotator, its weights downloaded once; raises ImportError or ValueError with other ways on."""
    detection = _detection()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keypoints, masks = (network.eval().to(device) for network in _networks(detection))

    def find(pictures: Iterable[np.ndarray]) -> Iterator[list[Person]]:
        for picture in pictures:
            planes = torch.from_numpy(picture).to(device).permute(2, 0, 1).float() / 255
            with torch.inference_mode():
                (seen,), (covered,) = keypoints([planes]), masks([planes])
            yield people_of(seen, covered)

    return Annotator("torchvision", "coco17", find)


def people_of(seen: dict[str, torch.Tensor], covered: dict[str, torch.Tensor]) -> list[Person]:
    """Everyone in a picture, from what the two networks say of it.

    seen     boxes (N, 4) x, y, x, y, labels (N,), scores (N,), keypoints (N, 17, 3), keypoints_scores (N, 17)
    covered  boxes (M, 4), labels (M,), scores (M,), masks (M, 1, H, W) in [0, 1]

    A person without a mask is one whom the second network doesn't see.
    """
    seen, covered = _people(seen), _people(covered)
    confidence = expit(seen["keypoints_scores"] - JUST_SURE + logit(SURE))
    points = np.concatenate([seen["keypoints"][..., :2], confidence[..., None]], -1).astype(np.float32)
    overlap = _overlaps(seen["boxes"], covered["boxes"])
    mask_of = {person: mask for person, mask in zip(*linear_sum_assignment(-overlap), strict=True)
               if overlap[person, mask] >= LEAST_OVERLAP}
    return [Person(one, _mask(covered["masks"][mask_of[row]]) if row in mask_of else None)
            for row, one in enumerate(points)]


def _people(found):
    """Of a network's detections the sure ones of people, as arrays."""
    kept = (found["labels"] == PERSON) & (found["scores"] >= LEAST_SCORE)
    return {name: values[kept].cpu().numpy() for name, values in found.items()}


def _mask(share):
    """(H, W) uint8 of a network's (1, H, W)."""
    return np.where(share[0] > 0.5, np.uint8(255), np.uint8(0))


def _overlaps(ones, others):
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (ones, others)]
    return shared / (areas[0][:, None] + areas[1] - shared).clip(1e-9)


def _detection():
    """torchvision's detection networks, whose compiled operators have to fit the torch that is installed."""
    try:
        import torchvision
        from torchvision.models import detection

        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        torchvision.ops.nms(boxes, torch.ones(1), 0.5)  # some versions import and then lack this operator
        return detection
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ImportError(unavailable("torchvision", error, "Install the torchvision that fits this torch ("
                                      f"{install_command(torch.__version__)}).")) from None


def install_command(version: str) -> str:
    """What installs the torchvision that was built for a version of torch, such as "2.13.0+cpu"."""
    number, _, build = version.partition("+")
    minor = int(re.match(r"2\.(\d+)", number)[1])
    published = re.fullmatch(r"cpu|cu\d+", build)
    index = f" --index-url https://download.pytorch.org/whl/{build}" if published else ""
    return f'python -m pip install --no-deps "torchvision==0.{minor + 15}.*"{index}'


def _networks(detection):
    """Both networks with their weights, which torchvision downloads once into torch's own folder."""
    wanted = ((detection.keypointrcnn_resnet50_fpn, detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_V1),
              (detection.maskrcnn_resnet50_fpn_v2, detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1))
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        return [build(weights=weights) for build, weights in wanted]
    except (OSError, RuntimeError) as error:  # no network; a broken file
        links = " and ".join(weights.url for _, weights in wanted)
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(unavailable("torchvision", f"its weights: {reason(error)}", f"Download {links} by "
                                                                                     f"hand into {folder}."
                                                                                     )) from None
    finally:
        socket.setdefaulttimeout(patience)
