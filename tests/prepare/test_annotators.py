"""What annotators make of their networks' answers, made up in the published shapes, and of their lack."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from anr_core.capture.keypoints import SURE
from anr_core.cli import main
from anr_core.prepare.annotators import ANNOTATORS, mediapipe, ready_annotator, torchvision
from anr_core.skeleton import COCO17, COCO23
from tests.posed_capture import make_posed_capture

SIZE = (40, 60)


def boxes(*corners):
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


def box_mask(box):
    """(1, H, W) a network's share in a box, softer at its edge."""
    mask = torch.zeros(1, *SIZE)
    left, top, right, bottom = box
    mask[0, top:bottom, left:right] = 0.9
    mask[0, top, left:right] = 0.4
    return mask


def seen_by_keypoints(*corners, scores=None, peak=8.0):
    """Keypoint R-CNN's answer: everybody's points go down from their box's top left corner."""
    count = len(corners)
    points = boxes(*corners)[:, None, :2] + torch.arange(17)[None, :, None]
    return {"boxes": boxes(*corners), "labels": torch.ones(count, dtype=torch.int64),
            "scores": torch.tensor(scores or [0.99] * count),
            "keypoints_scores": torch.full((count, 17), peak),
            "keypoints": torch.cat([points, torch.ones(count, 17, 1)], -1)}


def seen_by_masks(*corners, labels=None, scores=None):
    """Mask R-CNN's answer."""
    count = len(corners)
    return {"boxes": boxes(*corners), "labels": torch.tensor(labels or [1] * count),
            "scores": torch.tensor(scores or [0.99] * count),
            "masks": torch.stack([box_mask(box) for box in corners]) if corners else torch.zeros(0, 1, *SIZE)}


LEFT, RIGHT = (2, 4, 20, 36), (30, 5, 50, 38)


# torchvision

def test_keypoints_and_masks_of_one_person_are_brought_together_by_their_boxes():
    people = torchvision.people_of(seen_by_keypoints(LEFT, RIGHT),
                                   seen_by_masks((31, 5, 49, 37), (1, 4, 20, 35), (0, 0, 60, 40),
                                                 labels=[1, 1, 18]))
    assert len(people) == 2
    assert np.allclose(people[0].keypoints[3, :2], [2 + 3, 4 + 3])
    assert people[0].keypoints.shape == (17, 3) and people[0].keypoints.dtype == np.float32
    assert people[0].mask.shape == SIZE and people[0].mask.dtype == np.uint8
    assert people[0].mask[20, 10] == 255 and people[0].mask[20, 40] == 0 and people[0].mask[4, 10] == 0
    assert people[1].mask[20, 40] == 255 and people[1].mask[20, 10] == 0


def test_who_is_hardly_a_person_is_left_out_and_who_has_no_mask_stays():
    people = torchvision.people_of(seen_by_keypoints(LEFT, RIGHT, scores=[0.9, 0.1]),
                                   seen_by_masks(RIGHT, LEFT, scores=[0.9, 0.1]))
    assert len(people) == 1 and people[0].mask is None
    assert torchvision.people_of(seen_by_keypoints(), seen_by_masks(LEFT)) == []
    assert torchvision.people_of(seen_by_keypoints(LEFT), seen_by_masks())[0].mask is None


@pytest.mark.parametrize(("peak", "low", "high"), [(2.0, SURE - 1e-6, SURE + 1e-6), (12.0, 0.99, 1.0),
                                                   (-1.0, 0.0, 0.05)])
def test_a_heatmaps_peak_becomes_a_confidence(peak, low, high):
    person, = torchvision.people_of(seen_by_keypoints(LEFT, peak=peak), seen_by_masks())
    assert ((low <= person.keypoints[:, 2]) & (person.keypoints[:, 2] <= high)).all()


def test_both_networks_see_each_picture_in_colours_from_0_to_1(monkeypatch):
    shown = []

    def network(answer):
        class Network(torch.nn.Module):
            def forward(self, pictures):
                assert not self.training and torch.is_inference_mode_enabled()
                shown.append(pictures)
                return [answer]
        return Network()

    monkeypatch.setattr(torchvision, "_detection", lambda: None)
    monkeypatch.setattr(torchvision, "_networks", lambda _: [network(seen_by_keypoints(LEFT)),
                                                             network(seen_by_masks(LEFT))])
    made = ready_annotator("torchvision")
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[3, 5] = 255, 0, 51
    people = list(made.find(iter([picture, picture])))
    assert [len(everyone) for everyone in people] == [1, 1] and made.skeleton == "coco17"
    assert [len(pictures) for pictures in shown] == [1] * 4 and shown[0][0].shape == (3, *SIZE)
    assert torch.allclose(shown[0][0][:, 3, 5].cpu(), torch.tensor([1.0, 0.0, 0.2]))
    assert len(COCO17) == 17


@pytest.mark.parametrize(("version", "command"), [
    ("2.13.0+cpu", 'install --no-deps "torchvision==0.28.*" --index-url https://download.pytorch.org/whl/cpu'),
    ("2.8.0+cu126", '"torchvision==0.23.*" --index-url https://download.pytorch.org/whl/cu126'),
    ("2.9.1", '"torchvision==0.24.*"'),
    ("2.10.0a0+git1234", '"torchvision==0.25.*"'),
])
def test_the_torchvision_that_fits_is_named(version, command):
    assert torchvision.install_command(version).endswith(command)


# what can't be had

@pytest.fixture
def lacking(tmp_path):
    """A capture without masks."""
    return make_posed_capture(tmp_path / "capture").path


def told(capsys, folder, *options):
    assert main(["annotate", str(folder), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def broken(*_):
    raise RuntimeError("operator torchvision::nms does not exist")


@pytest.mark.parametrize("module", [None, SimpleNamespace(ops=SimpleNamespace(nms=broken))])
def test_a_torchvision_that_cannot_be_used_is_said_with_every_way_on(lacking, module, monkeypatch, capsys):
    """It isn't there; or it was built for another torch, and its operators are missing."""
    monkeypatch.setitem(sys.modules, "torchvision", module)
    if module is not None:
        monkeypatch.setitem(sys.modules, "torchvision.models", ModuleType("torchvision.models"))
        sys.modules["torchvision.models"].detection = None
    error = told(capsys, lacking)
    for way in ("torchvision==0.", "mediapipe", "OpenPose", "prepare again", "anr_core mask"):
        assert way in error
    assert "nms does not exist" in error or module is None


def test_weights_that_cannot_be_had_are_said_with_every_way_on(lacking, monkeypatch, capsys):
    def build(weights):
        raise OSError("name or service not known")

    weights = {name: SimpleNamespace(COCO_V1=SimpleNamespace(url=f"https://weights.example/{name}.pth"))
               for name in ("KeypointRCNN_ResNet50_FPN_Weights", "MaskRCNN_ResNet50_FPN_V2_Weights")}
    monkeypatch.setattr(torchvision, "_detection", lambda: SimpleNamespace(
        keypointrcnn_resnet50_fpn=build, maskrcnn_resnet50_fpn_v2=build, **weights))
    error = told(capsys, lacking)
    for way in ("KeypointRCNN_ResNet50_FPN_Weights.pth and https://weights.example/MaskRCNN", "by hand into",
                "checkpoints", "mediapipe", "OpenPose"):
        assert way in error


def test_a_mediapipe_that_is_not_there_is_said_with_every_way_on(lacking, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    error = told(capsys, lacking, "--annotator", "mediapipe")
    for way in ("pip install mediapipe", "torchvision's networks", "OpenPose", "prepare again"):
        assert way in error


# mediapipe

def landmarks(visibility=0.8):
    """33 of them, each at its number's hundredth of the width; the last lies outside of the picture."""
    return [SimpleNamespace(x=number / 100 if number < 32 else 1.2, y=number / 50, z=0.0,
                            visibility=visibility, presence=1.0) for number in range(33)]


def soft(share):
    """An image whose numpy_view is (H, W, 1)."""
    return SimpleNamespace(numpy_view=lambda: np.full((*SIZE, 1), share, np.float32))


def test_mediapipes_landmarks_are_taken_by_name():
    result = SimpleNamespace(pose_landmarks=[landmarks(), landmarks(0.3)],
                             segmentation_masks=[soft(0.7), soft(0.2)])
    first, second = mediapipe.people_of(result, SIZE)
    at = COCO23.names.index
    for number, name in ((0, "nose"), (2, "left_eye"), (5, "right_eye"), (12, "right_shoulder"),
                         (15, "left_wrist"), (23, "left_hip"), (28, "right_ankle"), (31, "left_big_toe")):
        assert np.allclose(first.keypoints[at(name)], [number / 100 * 60, number / 50 * 40, 0.8])
    for name in ("left_small_toe", "right_small_toe", "right_big_toe"):  # it has none; it lies outside
        assert first.keypoints[at(name), 2] == 0
    assert (first.mask == 255).all() and not second.mask.any() and first.mask.shape == SIZE
    assert second.keypoints[0, 2] == np.float32(0.3)


def test_mediapipe_without_masks_or_without_people():
    assert mediapipe.people_of(SimpleNamespace(pose_landmarks=[], segmentation_masks=None), SIZE) == []
    person, = mediapipe.people_of(SimpleNamespace(pose_landmarks=[landmarks()], segmentation_masks=None),
                                  SIZE)
    assert person.mask is None


def test_mediapipe_is_asked_in_its_own_words(monkeypatch, tmp_path):
    asked = {}

    class PoseLandmarker:
        @classmethod
        def create_from_options(cls, options):
            asked["options"] = options
            return cls()

        def detect(self, image):
            asked["image"] = image
            return SimpleNamespace(pose_landmarks=[landmarks()], segmentation_masks=[soft(1.0)])

    module = ModuleType("mediapipe")
    module.Image, module.ImageFormat = SimpleNamespace, SimpleNamespace(SRGB=1)
    module.tasks = SimpleNamespace(BaseOptions=SimpleNamespace, vision=SimpleNamespace(
        PoseLandmarker=PoseLandmarker, PoseLandmarkerOptions=SimpleNamespace))
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    monkeypatch.setattr(mediapipe, "store", lambda: tmp_path)
    (tmp_path / "pose_landmarker_heavy.task").write_bytes(b"by hand")
    made = ready_annotator("mediapipe")
    people = list(made.find(iter([np.zeros((*SIZE, 3), np.uint8)])))
    assert made.skeleton == "coco23" and people[0][0].keypoints.shape == (23, 3)
    assert asked["options"].base_options.model_asset_path == str(tmp_path / "pose_landmarker_heavy.task")
    assert asked["options"].output_segmentation_masks and asked["options"].num_poses > 1
    assert asked["image"].data.shape == (*SIZE, 3) and asked["image"].image_format == 1


def test_every_annotator_has_a_module():
    assert set(ANNOTATORS) == {"torchvision", "mediapipe"}
