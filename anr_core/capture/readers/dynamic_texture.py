"""Format `dynamic-texture`: one video, prepared as Sun et al. do for their dynamic textures.

    NAME/                    the frames, in a folder called like the source
    densepose/               IUV as PNG: part 0 to 24, U and V 0 to 255, in whatever order of channels
    mask/                    grey, white where the person is
    openpose_json/           BODY_25 with face and hands
    flow/, flow_inv/         Middlebury's .flo: file i leads from frame i to i + 1, and back
    LaplaceProj/123, 456     pictures of the pose in space; may be missing
    bg.jpg                   the scene without the person
    texture.jpg              4 x 6 parts of one size, down and then right, each with v upwards, as DensePose's

Files belong together by their order, as there. There is no camera: a focal length is guessed. Of each picture
the truth keeps "iuv" (H, W, 3), "flow" and "flow_inv" (h, w, 2) from and to the frame before, in pixels, and
"laplace" (H, W, 6); foreign.npz keeps "texture" (24, side, side, 3), whose row 0
is v = 0.
Source: Sun et al., Robust pose transfer with dynamic details, 2021, and its code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import read_image, read_mask
from anr_core.capture.readers.clips import numbered
from anr_core.capture.readers.openpose import read_keypoint_files
from anr_core.capture.readers.plain import guessed_camera
from anr_core.capture.readers.timing import EVERYTHING, Span, picture_rate
from anr_core.capture.sources import PICTURE_SUFFIXES, common_size, stated_licence

ABOUT = "densepose, openpose_json and texture.jpg"
CAMERA, PARTS = "camera", 24
KNOWN = ("densepose", "mask", "openpose_json", "flow", "flow_inv", "LaplaceProj")
FLOW_TAG = 202021.25  # what a .flo begins with


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return all((source / name).exists() for name in ("densepose", "openpose_json", "texture.jpg"))


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """A prepared video; pictures are read only while the takes are asked for. fps says how fast it is."""
    frames = _frames(source)
    size = common_size(list(frames.values()))
    beside = {name: _files(source / name, PICTURE_SUFFIXES, len(frames)) for name in ("densepose", "mask")}
    beside |= {name: _files(source / name, (".flo",), len(frames) - 1) for name in ("flow", "flow_inv")}
    beside |= {f"LaplaceProj/{half}": _files(source / "LaplaceProj" / half, PICTURE_SUFFIXES, len(frames))
               for half in ("123", "456")}
    common_size([*frames.values(), *beside["densepose"]])
    if laplace := beside["LaplaceProj/123"] + beside["LaplaceProj/456"]:
        common_size(laplace)
    detected = _files(source / "openpose_json", (".json",), len(frames))
    keypoints, skeleton = read_keypoint_files(dict(enumerate(detected)), size) if detected else ({}, None)
    notes = [f"{name}/ is missing or empty." for name, files in beside.items() if not files]
    rate, assumed = picture_rate(span.fps)
    wanted = span.frames(frames, rate)
    background = source / "bg.jpg"
    scene = background.is_file() and common_size([background]) == size
    notes += [] if scene else ["bg.jpg is missing or of another size than the frames, and is not used."]
    return Footage(
        format="dynamic-texture", cameras={CAMERA: guessed_camera(size)},
        originals={CAMERA: {"K": None, "distortion": [], "size": list(size)}},
        takes=_takes(frames, wanted, beside, keypoints),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate, up=(0.0, -1.0, 0.0),
        person=source.resolve().name, backgrounds={CAMERA: background} if scene else {},
        notes=notes + assumed,
        keypoints=skeleton, uncalibrated=frozenset({CAMERA}),
        foreign={"texture": read_texture(source / "texture.jpg")}, **stated_licence(source))


def _frames(source: Path) -> dict[int, Path]:
    """The pictures by their numbers."""
    named = source / source.resolve().name
    others = [folder for folder in sorted(source.iterdir()) if folder.is_dir() and folder.name not in KNOWN]
    for folder in [named, *others]:
        if found := numbered(folder, PICTURE_SUFFIXES):
            return found
    raise FileNotFoundError(f"{source} has no frames: expected pictures in {named}.")


def _files(folder: Path, suffixes, count: int) -> list[Path]:
    """A folder's files in their order, all or none of the number that is needed."""
    found = list(numbered(folder, suffixes).values())
    if found and len(found) != count:
        raise ValueError(f"{folder} holds {len(found)} files, expected {count}. Prepare it again, for all "
                         "frames.")
    return found


def _takes(frames, wanted, beside, keypoints) -> Iterator[Take]:
    order = None
    for row, (frame, picture) in enumerate(frames.items()):
        if frame not in wanted:
            continue
        truth = {}
        if beside["densepose"]:
            labelled = read_image(beside["densepose"][row])
            order = order or _order(labelled)
            truth["iuv"] = _iuv(labelled, order or "IUV", beside["densepose"][row])
        for name in ("flow", "flow_inv"):
            if beside[name] and row:
                truth[name] = read_flow(beside[name][row - 1])
        halves = [beside[f"LaplaceProj/{half}"] for half in ("123", "456")]
        if all(halves):
            truth["laplace"] = np.concatenate([read_image(files[row]) for files in halves], 2)
        mask = read_mask(beside["mask"][row]) > 127 if beside["mask"] else np.zeros(0, bool)
        yield Take(CAMERA, frame, picture, np.uint8(255) * mask if mask.any() else None, registered=False,
                   keypoints=keypoints.get(row), truth=truth or None)


def _order(labelled: np.ndarray) -> str | None:
    """Whether a picture has the part first or, as OpenCV writes it, last; None where nobody is in it."""
    if not labelled.any():
        return None
    return "IUV" if labelled[..., 0].max() <= PARTS < labelled[..., 2].max() else "VUI"


def _iuv(labelled, order, file):
    found = labelled if order == "IUV" else labelled[..., ::-1]
    if found[..., 0].max() > PARTS:
        raise ValueError(f"{file} has a part {found[..., 0].max()}, DensePose has {PARTS}. Save IUV, not "
                         "colours.")
    return np.ascontiguousarray(found)


def read_flow(file: Path) -> np.ndarray:
    """Flow (h, w, 2) float16, pixels to the right and down; half precision is 0.03 at 64 pixels."""
    data = file.read_bytes()
    tag = np.frombuffer(data[:4].ljust(4, b"\0"), "<f4")[0]
    width, height = np.frombuffer(data[4:12].ljust(8, b"\0"), "<i4").tolist()
    if tag != FLOW_TAG or min(width, height) < 1 or len(data) != 12 + 8 * width * height:
        raise ValueError(f"{file} is no whole .flo: {len(data)} bytes for {width}x{height} pixels. Copy it "
                         "again.")
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    if not (np.abs(flow) < np.finfo(np.float16).max).all():
        raise ValueError(f"{file} has flow that is NaN, infinite or beyond any picture. Compute it again.")
    return flow.astype(np.float16)


def read_texture(file: Path) -> np.ndarray:
    """The parts (24, side, side, 3) uint8 of a texture's picture."""
    picture = read_image(file)
    height, width = picture.shape[:2]
    if width % 4 or height != width // 4 * 6:
        raise ValueError(f"{file} is {width}x{height} pixels, expected 4 x 6 squares such as 800x1200.")
    side = width // 4
    parts = picture.reshape(6, side, 4, side, 3).transpose(2, 0, 1, 3, 4).reshape(PARTS, side, side, 3)
    return np.ascontiguousarray(parts[:, ::-1])
