"""The settings of a dynamic texture, and its presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from anr_core.avatars.config import Config

POSES = ("both", "keypoints", "body")
LABELS, STATIC, DYNAMIC = "labels", "static", "dynamic"
WHOLE, STARTED = f"{LABELS}, {STATIC}, {DYNAMIC}", f"{STATIC}, {DYNAMIC}"
SHARES = {LABELS: 0.3, STATIC: 0.3, DYNAMIC: 0.4}


@dataclass(frozen=True)
class Settings(Config):
    """A dynamic texture's settings; `width` and `levels` are those of the network that adds to colours."""

    network_settings: ClassVar[tuple[str, ...]] = ("labels", "skeleton")

    system: str = "dynamic-texture"
    # the stages it goes through: "labels" (the generator learns of people whom nobody filmed), "static" (the
    # person, with the texture's colours alone) and "dynamic" (all of it, smooth in time). With --init, which
    # brings another run's generator and network along, the first is left out
    course: str = WHOLE
    # whose parts and charts: "surface", the registered body's, whose labels made-up people have too, or
    # "densepose", out of pictures that came along and are then learned from in "labels"; nothing takes
    # DensePose's where every training picture has them
    labels: str = ""
    # the set of keypoints that tells a pose: the capture's
    skeleton: str = ""
    # what poses are of: "keypoints" as they were detected, and nothing of a mesh; the "body", whose mesh says
    # where its parts are and whose projected joints are learned from as well; or "both", the mesh of a body
    # and detected keypoints in turn. A driving video of keypoints alone needs one of the others than "body"
    # to have seen what a detector gets wrong
    pose: str = "both"
    # channels of the generator's first level and its residual blocks; a smaller one fits into a larger one
    generator_width: int = 24
    generator_depth: int = 2
    # texels a side of each part's chart, and channels beside the colour
    chart_size: int = 96
    features: int = 15
    # where backgrounds begin: "plate" (the capture's), "median" of what is seen without the person, or
    # "frame", the first picture, or "frame 12", another one
    background: str = "plate"
    # side of their pictures, pixels; 0 takes the capture's, up to 1024, and less of many cameras
    background_size: int = 0
    # made-up people a step
    made_up: int = 4
    # and how many go on to be practised while a person is learned
    kept: int = 1
    # weight of how much errors change from the frame before, moved along the flow; and what is mended of a
    # drawn body and added to it, moved along its mesh
    temporal: float = 8.0
    # learning rate of the generator while it practises; later, and of the network, half of it or less
    rate: float = 3e-3


PRESETS = {
    "quick": Settings(width=16, window=192, batch=4, levels=2, refine_from=0),
    "base": Settings(preset="base", size=512, window=320, batch=8, width=32, levels=3, generator_width=48,
                     generator_depth=5, made_up=8, kept=2, chart_size=200, texture_size=512, perceptual=0.02,
                     adversary=0.001, refine_from=0, workers=2, steps=20_000),
    "large": Settings(preset="large", size=512, window=512, batch=8, width=48, levels=4, generator_width=64,
                      generator_depth=9, made_up=8, kept=2, chart_size=200, texture_size=1024,
                      perceptual=0.02, adversary=0.001, refine_from=0, workers=4, steps=60_000),
}
