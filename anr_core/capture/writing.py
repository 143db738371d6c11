"""Footage → a capture on disk, every picture checked on the way, and the folder whole or not there at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from anr_core.camera import undistort_image
from anr_core.capture.folder import Shot
from anr_core.capture.footage import Footage, Take
from anr_core.capture.index import CAMERA_NAME, VERSION
from anr_core.capture.keypoints import straightened, write_keypoints
from anr_core.capture.outline import near_outline
from anr_core.capture.pictures import read_channels, read_image, read_mask, write_image, write_mask
from anr_core.capture.posing import write_posing
from anr_core.telling import quoted

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
    check_replaceable(target)
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


def check_replaceable(target: Path) -> None:
    """Raise ValueError where there is something that isn't a capture and must not be lost."""
    empty = not target.exists() or target.is_dir() and not any(target.iterdir())
    if not empty and not (target / "capture.json").is_file():
        raise ValueError(f"{target} is something else than a capture, so it is not overwritten. Name another "
                         "folder, or remove this one.")


def write_capture(footage: Footage, folder: Path, keypoints_late: int = 0) -> list[str]:
    """Fill an empty folder with a capture; returns the notes that writing added.

    keypoints_late  keypoints of frame n belong to frame n - keypoints_late

    Raises ValueError for a picture that can't be read or has not its camera's size, for an empty mask, and
    for a camera that never sees the person.
    """
    for name in footage.cameras:
        if not CAMERA_NAME.fullmatch(name):
            raise ValueError(f"Camera name {quoted(name)} can't be a folder's name. Use at most a hundred "
                             "letters, digits and _ - .")
    cameras = {name: replace(camera, distortion=None) for name, camera in footage.cameras.items()}
    shots, unseen, keypoints = [], {}, {}
    for take in footage.takes:
        lens, camera = footage.cameras[take.camera], cameras[take.camera]
        problem = _out_of_sight(camera, footage.mesh(take.frame)) if footage.registered else ""
        if problem:
            unseen.setdefault(take.camera, {})[take.frame] = problem
            continue
        shots.append(_write_take(take, footage, folder))
        if take.keypoints is not None:
            keypoints[take.camera, take.frame - keypoints_late] = straightened(take.keypoints, lens, camera)
    if not shots and not unseen:
        raise ValueError("No picture of the source lies between --start and --end.")
    keypoints = {key: keypoints[key] for shot in shots if (key := (shot.camera, shot.frame)) in keypoints}
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
    if footage.joints:
        footage.joints.write(folder / "joints.npz")
    if footage.foreign:
        np.savez(folder / "foreign.npz", **footage.foreign)
    index = {
        "version": VERSION, "format": footage.format, "link": footage.link, "licence": footage.licence,
        "fps": footage.fps,
        "up": list(footage.up), "person": footage.person,
        "cameras": {name: {**numbers_of(camera), "size": list(camera.size),
                           "original": footage.originals[name],
                           "calibrated": name not in footage.uncalibrated}
                    for name, camera in sorted(cameras.items())},
        "backgrounds": backgrounds, "body": write_posing(footage, folder),
        "keypoints": footage.keypoints if keypoints else None,
        "joints": footage.joints.description if footage.joints else None,
        "shots": [asdict(shot) for shot in sorted(shots, key=lambda shot: (shot.camera, shot.frame))],
    }
    (folder / "capture.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return [f"{name}: the person is out of the picture in {len(problems)} frames, which are left out."
            for name, problems in unseen.items()]


def numbers_of(camera):
    """What capture.json says of a camera's place and lens."""
    return {"K": camera.K[0].tolist(), "R": camera.R[0].tolist(), "t": camera.t[0].tolist()}


def _out_of_sight(camera, vertices):
    """Why a camera doesn't see a mesh, or an empty string where it does."""
    pixels, depth = camera.project(vertices)
    if not bool((depth > 0).any()):
        return f"all vertices lie behind it, depth {float(depth.min()):.2f} to {float(depth.max()):.2f} m"
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor(camera.size[::-1])).all(-1)
    if float(inside.float().mean()) < LEAST_VISIBLE:
        return f"{int(inside.sum())} of {inside.shape[1]} vertices fall into its picture"
    return ""


def _write_take(take: Take, footage: Footage, folder: Path) -> Shot:
    """Write one picture, its mask and what is certain of it, all three without lens distortion; its input."""
    lens, stem = footage.cameras[take.camera], f"{take.camera}/{take.frame:04d}"
    given = None if take.input is None else f"inputs/{stem}{_suffix(take.input, of_array='.png')}"
    doubt = 0.0 if take.mask is None else take.doubt
    shot = Shot(take.camera, take.frame,
                given if take.image is None else f"frames/{stem}{_suffix(take.image)}",
                f"masks/{stem}.png" if take.mask is not None else None,
                f"certain/{stem}.png" if doubt or take.certain or lens.distortion is not None else None,
                take.registered and footage.registered, take.split,
                f"truth/{stem}.npz" if take.truth else None, given)
    if given is not None:
        _copy_picture(take.input, read_channels, lens, take.camera, folder / given)
    if take.image is not None:
        _copy_picture(take.image, read_image, lens, take.camera, folder / shot.image)
    certain = np.ones(lens.size, bool)
    if take.certain is not None:
        certain = _undistorted(read_mask(take.certain), lens) == 255
    if take.mask is not None:
        mask = _undistorted(_read_checked_mask(take, lens.size, footage.registered), lens)
        write_mask(folder / shot.mask, mask)
        certain &= ~near_outline(mask > 127, doubt)
    if shot.certain:
        inside = _undistorted(np.full(lens.size, 255, np.uint8), lens) == 255
        write_mask(folder / shot.certain, inside & certain)
    if shot.truth and take.truth != folder / shot.truth:
        (folder / shot.truth).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(take.truth, dict):
            np.savez_compressed(folder / shot.truth, **take.truth)
        else:
            shutil.copyfile(take.truth, folder / shot.truth)
    return shot


def _copy_picture(source, read, lens, camera, file):
    """Write a picture, a file or an array, after a look whether it can be read and has its camera's size."""
    image = read(source) if isinstance(source, Path) else source
    _check_size(image, source, camera, lens.size)
    _write_picture(source, image, lens, file)


def _read_checked_mask(take, size, seen):
    mask = read_mask(take.mask) if isinstance(take.mask, Path) else take.mask
    name = take.mask if isinstance(take.mask, Path) else f"{take.camera}'s mask of frame {take.frame}"
    _check_size(mask, name, take.camera, size)
    if seen and not (mask > 127).any():
        raise ValueError(f"{name} is empty, though {take.camera} sees the mesh of frame {take.frame}. "
                         "Repair the mask, or remove it together with its picture.")
    return mask


def _check_size(picture, file, camera, size):
    if picture.shape[:2] != size:
        name = file if isinstance(file, Path | str) else f"{camera}'s video"
        raise ValueError(f"{name} is {picture.shape[1]}x{picture.shape[0]} pixels, but camera {camera} is "
                         f"{size[1]}x{size[0]}. All pictures and masks of a camera need its size.")


def _suffix(source, of_array=".jpg"):
    """PNGs stay PNGs, every other file becomes or stays a JPEG."""
    if not isinstance(source, Path):
        return of_array
    return ".png" if source.suffix.lower() == ".png" else ".jpg"


def _write_picture(source, image, lens, file):
    """Copy a source file as it is where nothing has to be changed in it, else encode the picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path) and lens.distortion is None:
        shutil.copyfile(source, file)
    else:
        write_image(file, _undistorted(image, lens))


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
