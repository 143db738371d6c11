"""A small video prepared as Sun et al. do: Anny lifts an arm and turns, and every pixel's labels are exact.

Labels have DensePose's form, 24 parts with a chart each, but are of our own charts. Colours tell the place:
red is u, green v, blue the part's number over 24.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import Camera, orbit
from anr_core.capture import Capture, load_capture
from anr_core.capture.readers import dynamic_texture
from anr_core.capture.writing import write_capture
from anr_core.parts import charted
from anr_core.rasterizer import gbuffer
from tests.posed_capture import arm_raised

SIZE = (160, 112)
SIDE = 40  # texels of a part
BEHIND = (40, 90, 60)


def camera(size=SIZE) -> Camera:
    return orbit(torch.tensor([[0.0, 0.0, 0.85]]), torch.tensor([0.3]), 0.05, 4.0, 0.5, size,
                 torch.tensor([0.0, 0.0, 1.0]))[0]


def save(file: Path, array) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(file, quality=98)


def colours(part, u, v):
    """(..., 3) in [0, 1]"""
    return np.stack([u, v, part / 24], -1)


def write_danced(folder: Path, frames: int = 8, texture: bool = True) -> Path:
    """texture  whether texture.jpg shows all colours; else it is black, as where nothing was unwrapped"""
    body = AnnyBody(Shape(gender=0.2, age=0.7))
    poses = arm_raised(body, torch.linspace(0, 1, frames))
    posed = replace(body(poses), surface=charted(body.surface))
    keypoints = camera().project(body.keypoints(body(poses), "body25"))[0].numpy()
    for frame in range(frames):
        one = replace(posed, vertices=posed.vertices[frame:frame + 1], joints=None)
        part, u, v = gbuffer(one, camera(), SIZE).iuv()[0].numpy()
        there = (part > 0)[..., None]
        name = f"{frame:04d}"
        iuv = np.stack([part, 255 * u, 255 * v], -1).round() * there
        # from what a byte keeps of the place, so that colours agree with labels to the last bit
        seen = 255 * colours(part, iuv[..., 1] / 255, iuv[..., 2] / 255)
        save(folder / folder.name / f"{name}.png", np.where(there, seen.round(), BEHIND))
        save(folder / "densepose" / f"{name}_IUV.png", iuv[..., ::-1])  # as OpenCV writes it
        save(folder / "mask" / f"{name}.png", 255 * there[..., 0])
        person = np.concatenate([keypoints[frame], np.full((25, 1), 0.9)], 1)
        file = folder / "openpose_json" / f"{name}_keypoints.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"people": [{"pose_keypoints_2d": person.ravel().tolist()}]}))
    save(folder / "bg.jpg", np.broadcast_to(np.uint8(BEHIND), (*SIZE, 3)))
    save(folder / "texture.jpg", 255 * atlas() * texture)
    return folder


def atlas() -> np.ndarray:
    """(6 SIDE, 4 SIDE, 3): parts go down and then right; in each u goes right and v up."""
    places = (np.arange(SIDE) + 0.5) / SIDE
    picture = np.zeros((6 * SIDE, 4 * SIDE, 3))
    for part in range(1, 25):
        column, row = divmod(part - 1, 6)
        u, v = np.meshgrid(places, 1 - places)
        picture[row * SIDE:(row + 1) * SIDE, column * SIDE:(column + 1) * SIDE] = \
            colours(np.full_like(u, part), u, v)
    return picture


def make_danced_capture(folder: Path, frames: int = 8, texture: bool = True) -> Capture:
    """The same as a capture whose body is known: nothing has to be fitted."""
    source, body = write_danced(folder / "danced", frames, texture), AnnyBody(Shape(gender=0.2, age=0.7))
    footage = replace(dynamic_texture.read(source), cameras={"camera": camera()}, uncalibrated=frozenset(),
                      up=(0.0, 0.0, 1.0), body=body, poses=arm_raised(body, torch.linspace(0, 1, frames)),
                      frames=np.arange(frames), surface=body.surface)
    footage = replace(footage, takes=(replace(take, registered=True) for take in footage.takes))
    write_capture(footage, folder / "capture")
    return load_capture(folder / "capture")
