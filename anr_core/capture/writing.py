"""Footage → a capture on disk, every picture checked on the way, and the folder whole or not there at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from anr_core.camera import Camera, undistort_image
from anr_core.capture.folder import VERSION, Shot
from anr_core.capture.footage import Footage, Take
from anr_core.capture.keypoints import straightened, write_keypoints
from anr_core.capture.pictures import read_image, read_mask, write_image, write_mask
from anr_core.capture.posing import write_posing
from anr_core.rasterizer import rasterize

# Of a mesh's vertices, that have to lie in a picture for it to count as a picture of the person.
LEAST_VISIBLE = 0.01


@contextmanager
def whole_or_nothing(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `target` if the block ends well, and vanishes if it doesn't.

    Only a capture or an empty folder is ever replaced. A killed process leaves the old capture or the new
    one; what it leaves beside them is cleared away by the next.
    """
    target = target.resolve()
    fresh, old = (target.with_name(f".{target.name}.{state}") for state in ("new", "old"))
    if old.exists() and not target.exists():
        old.rename(target)  # killed between the two renames below
    empty = not target.exists() or target.is_dir() and not any(target.iterdir())
    if not empty and not (target / "capture.json").is_file():
        raise ValueError(f"{target} is something else than a capture, so it is not overwritten. Name another "
                         "folder, or remove this one.")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_capture(footage: Footage, folder: Path) -> list[str]:
    """Fill an empty folder with a capture; returns the notes that writing added.

    Raises ValueError for a picture that can't be read or has not its camera's size, for an empty mask, and
    for a camera that never sees the person.
    """
    for name in footage.cameras:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"Camera name {name!r} can't be a folder's name. Use letters, digits and _ - .")
    cameras = {name: replace(camera, distortion=None) for name, camera in footage.cameras.items()}
    shots, unseen, keypoints = [], {}, {}
    for take in footage.takes:
        lens, camera, vertices = footage.cameras[take.camera], cameras[take.camera], footage.mesh(take.frame)
        problem = _out_of_sight(camera, vertices)
        if problem:
            unseen.setdefault(take.camera, {})[take.frame] = problem
            continue
        shots.append(_write_take(take, footage, camera, vertices, folder))
        if take.keypoints is not None:
            keypoints[take.camera, take.frame] = straightened(take.keypoints, lens, camera)
    for name, problems in unseen.items():
        if name not in {shot.camera for shot in shots}:
            raise ValueError(f"Camera {name} looks away from the person in every frame: "
                             f"{next(iter(problems.values()))}. Check its R and t: x_camera = R x_world + t, "
                             "+Z forward, metres.")
    backgrounds = {name: _write_background(path, name, footage.cameras[name], folder)
                   for name, path in footage.backgrounds.items() if name in footage.cameras}
    if footage.licence_file:
        shutil.copyfile(footage.licence_file, folder / footage.licence_file.name)
    if keypoints:
        write_keypoints(folder / "keypoints.npz", keypoints)
    index = {
        "version": VERSION, "format": footage.format, "licence": footage.licence, "fps": footage.fps,
        "up": list(footage.up), "person": footage.person,
        "cameras": {name: {"K": camera.K[0].tolist(), "R": camera.R[0].tolist(), "t": camera.t[0].tolist(),
                           "size": list(camera.size), "original": footage.originals[name]}
                    for name, camera in sorted(cameras.items())},
        "backgrounds": backgrounds, "body": write_posing(footage, folder),
        "keypoints": footage.keypoints if keypoints else None,
        "shots": [asdict(shot) for shot in sorted(shots, key=lambda shot: (shot.camera, shot.frame))],
    }
    (folder / "capture.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return [f"{name}: the person is out of the picture in {len(problems)} frames, which are left out."
            for name, problems in unseen.items()]


def _out_of_sight(camera, vertices):
    """Why a camera doesn't see a mesh, or an empty string where it does."""
    pixels, depth = camera.project(vertices)
    if not bool((depth > 0).any()):
        return f"all vertices lie behind it, depth {float(depth.min()):.2f} to {float(depth.max()):.2f} m"
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor(camera.size[::-1])).all(-1)
    if float(inside.float().mean()) < LEAST_VISIBLE:
        return f"{int(inside.sum())} of {inside.shape[1]} vertices fall into its picture"
    return ""


def _write_take(take: Take, footage: Footage, camera: Camera, vertices: torch.Tensor, folder: Path) -> Shot:
    """Write one picture, its mask and what is certain of it; all three without lens distortion."""
    lens = footage.cameras[take.camera]
    image = read_image(take.image) if isinstance(take.image, Path) else take.image
    _check_size(image, take.image, take.camera, camera.size)
    stem = f"{take.camera}/{take.frame:04d}"
    shot = Shot(take.camera, take.frame, f"frames/{stem}{_suffix(take.image)}", f"masks/{stem}.png",
                f"certain/{stem}.png" if take.doubt or lens.distortion is not None else None,
                take.registered, take.split, f"truth/{stem}.npz" if take.truth else None)
    _write_picture(take.image, image, lens, folder / shot.image)
    if take.mask is None:
        mask = _drawn_mask(vertices, footage.surface.faces, camera)
    else:
        mask = _undistorted(_read_checked_mask(take, camera.size), lens)
    write_mask(folder / shot.mask, mask)
    if shot.certain:
        inside = _undistorted(np.full(camera.size, 255, np.uint8), lens) == 255
        write_mask(folder / shot.certain, inside & ~near_outline(mask > 127, take.doubt))
    if shot.truth and take.truth != folder / shot.truth:
        (folder / shot.truth).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(take.truth, folder / shot.truth)
    return shot


def _read_checked_mask(take, size):
    mask = read_mask(take.mask)
    _check_size(mask, take.mask, take.camera, size)
    if not (mask > 127).any():
        raise ValueError(f"{take.mask} is empty, though {take.camera} sees the mesh of frame {take.frame}. "
                         "Repair the mask, or remove it together with its picture.")
    return mask


def _check_size(picture, file, camera, size):
    if picture.shape[:2] != size:
        name = file if isinstance(file, Path) else f"{camera}'s video"
        raise ValueError(f"{name} is {picture.shape[1]}x{picture.shape[0]} pixels, but camera {camera} is "
                         f"{size[1]}x{size[0]}. All pictures and masks of a camera need its size.")


def _suffix(source):
    """PNGs stay PNGs, everything else becomes or stays a JPEG."""
    return ".png" if isinstance(source, Path) and source.suffix.lower() == ".png" else ".jpg"


def _write_picture(source, image, lens, file):
    """Copy a source file as it is where nothing has to be changed in it, else encode the picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path) and lens.distortion is None:
        shutil.copyfile(source, file)
    else:
        write_image(file, _undistorted(image, lens))


def _drawn_mask(vertices, faces, camera):
    face_id = rasterize(vertices, faces, camera, camera.size).face_id[0]
    return np.where(face_id.numpy() >= 0, np.uint8(255), np.uint8(0))


def near_outline(mask: np.ndarray, distance: float) -> np.ndarray:
    """The pixels (H, W) whose centres lie within a distance, pixels, of the outline of a mask (H, W) bool."""
    near = np.zeros_like(mask)
    if distance <= 0 or not mask.any():
        return near
    reach = int(np.ceil(distance)) + 1
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = tuple(slice(max(line[0] - reach, 0), line[-1] + reach + 1) for line in (rows, columns))
    # the outline runs half a pixel before the nearest pixel of the other kind
    inside, outside = distance_transform_edt(mask[part]), distance_transform_edt(~mask[part])
    near[part] = inside + outside - 0.5 <= distance
    return near


def _undistorted(picture, lens):
    """A picture (H, W) or (H, W, 3) uint8 as the camera would have taken it without its lens."""
    if lens.distortion is None:
        return picture
    planes = torch.from_numpy(np.atleast_3d(picture)).permute(2, 0, 1)[None].float()
    straight = undistort_image(planes, lens)[0].permute(1, 2, 0).round().byte().numpy()
    return straight.reshape(picture.shape)


def _write_background(source, name, lens, folder):
    image = read_image(source)
    _check_size(image, source, name, lens.size)
    background = f"background/{name}{_suffix(source)}"
    if source != folder / background:
        _write_picture(source, image, lens, folder / background)
    return background
