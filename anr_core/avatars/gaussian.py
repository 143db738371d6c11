"""Diffuse Gaussians: a skeleton's bones become soft ellipsoids, their picture of features becomes the person.

    source picture -> ResNet -> one vector of features a bone, (E, F)
    joints -> one Gaussian primitive a bone -> rays through them -> latent picture (F, h, w)
    latent picture -> U-Net, modulated by all bones' features -> colour and mask

So one picture of somebody says how they look, and joints alone say how they stand: no mesh is drawn. Joints
are a set of keypoints that the mesh has at fixed places (avatars/joints.py), the body's own, or given ones,
such as those lifted from a film's 2D keypoints (`lift`).

Source: Rochette, Russell, Bowden, Human Pose Manipulation and Novel View Synthesis using Differentiable
Rendering, FG 2021, and its journal version of 2023. There the picture is drawn over one colour; the mask is
ours, so that it can stand before anything, and beside the other systems.

An avatar keeps one training picture, in which the person looks at the camera, as its own source. Training
shows it others too, so that it knows its person from any of them, and, trained on many people at once, learns
what pictures of people tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch.nn import functional

from anr_core import losses
from anr_core.avatars.adversary import AdaptiveAdversary
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import Config
from anr_core.avatars.joints import (
    ANNY_KNOWS,
    BODY,
    anny_mix,
    body_axes,
    mix_from_keypoints,
    skeleton_in,
    skeleton_of,
)
from anr_core.body import Posed, Surface
from anr_core.body.atlas import is_anny
from anr_core.camera import Camera
from anr_core.capture import Capture, View
from anr_core.gaussians import draw, side_colours, solids_of
from anr_core.lifting import Examples, PoseRegressor, pose_distance
from anr_core.renderer import ModulatedUNet, ResNet
from anr_core.skeleton.bones import bone_lengths
from anr_core.skeleton.widths import edge_widths
from anr_core.telling import quoted

LEAST_SOURCE = 64  # pixels a side: a ResNet halves it five times
THINNEST, THICKEST = 0.01, 100.0  # times a bone's usual thickness
GREY = 0.5  # behind a person who lends their looks
LOOKED_AT = 60  # training pictures out of which the source and the joints' places are found

# Shares of the stages among those that are chosen
POSE, PICTURES, ADVERSARY = "pose", "pictures", "adversary"
WHOLE = ", ".join((POSE, PICTURES, ADVERSARY))
SHARES = {POSE: 0.1, PICTURES: 0.6, ADVERSARY: 0.3}
PRACTISED = 256  # poses a step
PRACTISED_FROM = 400  # training pictures, whose poses are among them

COLOUR, MASK, APPEARANCE = 10.0, 1.0, 1e-3  # weights of losses
LEAST = 0.02  # of a mask: less is a haze around people, which is none of them
STEEP = 8.0  # of the mask's logit, to a channel in [0, 1]


@dataclass(frozen=True)
class Settings(Config):
    """Those of the system: `levels` is how often the U-Net halves the picture, `width` its first channels."""

    network_settings: ClassVar[tuple[str, ...]] = ("skeleton", "features", "width", "levels", "outer",
                                                   "encoder_depth", "encoder_width", "lifter_width")

    system: str = "gaussian"
    # what is trained, in this order: "pose" (2D keypoints to 3D joints), "pictures" (view synthesis) and
    # "adversary" (the same, before a discriminator); another run's weights come along with --init
    course: str = "pose, pictures"
    # whose bones are the primitives: a set of keypoints (coco23, body25 ...), or "body" for the body's own
    # joints; nothing takes the capture's set of keypoints
    skeleton: str = ""
    # how many times thicker than the skeleton's widths the primitives are
    thickness: float = 1.0
    # channels of a primitive's appearance, and of the latent picture
    features: int = 16
    # how often the latent picture is half as large as the picture
    outer: int = 0
    # blocks and first channels of the ResNet that looks at the source: 50 and 64 as published
    encoder_depth: int = 26
    encoder_width: int = 16
    # learning rate of the U-Net; the ResNet's is a tenth of it, as published
    rate: float = 2e-3
    # width of the network that lifts 2D keypoints to 3D joints: 2048 for 117 joints as published, 1024 for 17
    lifter_width: int = 256
    # side of the square picture that lends the looks, pixels
    source_size: int = 128
    # of so many training pictures one a step lends the looks
    sources: int = 16
    # weight of what differs in the features of a VGG16, where its weights can be had; far too slow for two
    # cores
    vgg: float = 0.0
    # sizes at which those features and LPIPS compare: the picture's own, half of it, a quarter
    scales: int = 3


PRESETS = {
    # few steps, so large ones; whole people, since windows of half of them teach less
    "quick": Settings(width=16, outer=1, window=224, batch=2, rate=1.5e-2),
    "base": Settings(preset="base", window=320, size=512, batch=8, width=48, outer=1, encoder_depth=50,
                     encoder_width=64, source_size=256, sources=256, perceptual=10.0, structure=0.1,
                     adversary=1.0, course=WHOLE, lifter_width=1024, workers=2, steps=20_000),
    "large": Settings(preset="large", window=512, size=512, batch=8, width=64, outer=1, encoder_depth=50,
                      encoder_width=64, source_size=256, sources=256, perceptual=10.0, structure=0.1,
                      adversary=1.0, course=WHOLE, lifter_width=2048, workers=4, steps=60_000),
}


class Gaussian(Avatar):
    """See the module.

    mix      (J, V)        where the joints are in the mesh; all 0 where the body has them, or none are known
    source   (1, 3, S, S)  the person over grey, as they look
    lengths  (E,)          of the person's bones, metres
    """

    needs = ("posed", "joints", "camera", "source")
    draws = "view pair"
    controls = ("pose", "view", "background", "source")
    adversary = AdaptiveAdversary
    shared = ("lifter", "encoder", "decoder")

    def __init__(self, config: Settings, surface: Surface | None, pictures=()):
        super().__init__(config, surface)
        if config.projection != "perspective":
            raise ValueError("gaussian casts rays from one point; it has no weak perspective. Leave "
                             "--projection out.")
        if config.source_size < LEAST_SOURCE:
            raise ValueError(f"source_size is {config.source_size}; a ResNet needs {LEAST_SOURCE} or more.")
        if not THINNEST <= config.thickness <= THICKEST:
            raise ValueError(f"thickness is {config.thickness}; it has to be {THINNEST} or more, and "
                             f"{THICKEST} at most.")
        self.skeleton = skeleton_of(config.skeleton, surface)
        bones, features = len(self.skeleton.edges), config.features
        if surface is not None and config.skeleton != BODY:
            self.register_buffer("mix", torch.zeros(len(self.skeleton), int(surface.faces.max()) + 1))
        self.register_buffer("source", torch.zeros(1, 3, config.source_size, config.source_size))
        self.widths = [config.thickness * width for width in edge_widths(self.skeleton)]
        self.register_buffer("lengths", torch.full((bones,), torch.nan))
        self.register_buffer("colours", side_colours(self.skeleton), persistent=False)
        # examples never repeat: nothing to overfit
        self.lifter = PoseRegressor(len(self.skeleton), config.lifter_width, dropout=0.0)
        self.encoder = ResNet(bones * features, config.encoder_depth, config.encoder_width)
        self.decoder = ModulatedUNet(features, 4, bones * features, config.width, config.levels or 4,
                                     config.outer)
        self.examples: Examples | None = None  # what the lifter practises on
        self._looks: tuple[int, torch.Tensor] | None = None  # what the own source says, while nothing changes

    @staticmethod
    def decided(config: Settings, captures: list[Capture]) -> Settings:
        """The settings with the skeleton that these captures have."""
        if config.skeleton:
            return config
        names = {skeleton_in(capture) for capture in captures}
        if len(names) > 1:
            raise ValueError(f"These captures have the skeletons {', '.join(sorted(names))}; people who are "
                             "trained together need one. Set \"skeleton\" in --config.")
        return replace(config, skeleton=names.pop())

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        super().begin(stage, views)
        if not self.source.any():  # else it is a training that goes on
            self._look_around(views)
        if stage.practice:
            self.examples = Examples(self.skeleton, self.config.seed,
                                     self._stood(partial(views, PRACTISED_FROM)), self.up,
                                     bones=self.lengths)

    def _look_around(self, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        """Where joints are in the mesh, and which picture shows the person best."""
        if not self.find_joints():
            self.mix.copy_(mix_from_keypoints(views(LOOKED_AT), self.skeleton))
        self.lend(*self.most_frontal(views(LOOKED_AT)))
        self.lengths.copy_(bone_lengths(self._stood(partial(views, LOOKED_AT)), self.skeleton))

    def most_frontal(self, views: Iterable[tuple[View, Posed]]) -> tuple[View, Posed]:
        """The view, with its mesh, in which the person looks at the camera most."""
        return max(views, key=lambda pair: self._frontal(*pair))

    @torch.no_grad()
    def lend(self, view: View, posed: Posed | None = None) -> None:
        """Look as the person of a view (a batch of one) does, and where they have a mesh be as tall."""
        self.source.copy_(self._over_grey(view))
        self._looks = None
        if posed is not None:
            joints = self.joints(Scene(posed, view.camera, view.size))
            self.lengths.copy_(bone_lengths(joints, self.skeleton))

    def find_joints(self) -> bool:
        """Take the joints' places from the table of Anny's mesh; False where somebody has to look for them.

        Bodies that have joints of their own need neither.
        """
        if self.surface is None or self.config.skeleton == BODY:
            return True
        if self.config.skeleton not in ANNY_KNOWS or not is_anny(self.surface):
            return False
        self.mix.copy_(anny_mix(self.config.skeleton))
        return True

    def _stood(self, views: Callable[..., Iterator[tuple[View, Posed]]]) -> torch.Tensor:
        """(n, J, 4) the joints at all frames of some views."""
        stood = {}
        for view, posed in views():
            if int(view.frame) not in stood:
                stood[int(view.frame)] = self.joints(Scene(posed, view.camera, view.size))[0].cpu()
        return torch.stack(list(stood.values()))

    def _frontal(self, view: View, posed: Posed | None) -> float:
        """How much a person looks at the camera: the cosine, for those who are seen as a whole."""
        joints = self.joints(Scene(posed, view.camera, view.size))
        across, up = body_axes(joints[..., :3], self.skeleton)
        ahead = functional.normalize(torch.linalg.cross(across, up), dim=-1)
        to_camera = functional.normalize(view.camera.center - joints[..., :3].mean(1), dim=-1)
        return float((ahead * to_camera).sum()) * float(view.certain.float().mean())

    def _over_grey(self, view: View) -> torch.Tensor:
        """(B, 3, S, S) what a view lends: its person over grey."""
        pictures = view.image * view.mask + GREY * (1 - view.mask)
        side = self.config.source_size
        if view.size == (side, side):
            return pictures
        return functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True,
                                      align_corners=False)

    def joints(self, scene: Scene) -> torch.Tensor:
        """(B, J, 4) metres, world, and confidence: those given, or those of the mesh."""
        if scene.joints is not None:
            return scene.joints
        if self.config.skeleton == BODY:
            points, known = scene.posed.joints, None
            if points is None:
                raise ValueError("This avatar draws its body's own joints, but the meshes given have none.")
        else:
            with torch.autocast(self.mix.device.type, enabled=False):  # in half precision 4 mm off
                points, known = self.mix @ scene.posed.vertices, self.mix.any(1)
        confidence = torch.ones_like(points[..., :1])
        return torch.cat([points, confidence if known is None else confidence * known[:, None]], -1)

    def looks(self, source: View | None) -> torch.Tensor:
        """(1 or B, E, F) the primitives' appearance, as pictures of somebody show it; as the avatar's own."""
        if source is not None:
            return self._encoded(self._over_grey(source))
        if torch.is_grad_enabled():
            return self._encoded(self.source)
        # every change in place counts one up, an optimiser's step and a loaded checkpoint too
        version = sum(value._version for value in (*self.encoder.parameters(), self.source))
        if self._looks is None or self._looks[0] != version or self._looks[1].device != self.device:
            self._looks = version, self._encoded(self.source)
        return self._looks[1]

    def _encoded(self, pictures):
        return self.encoder(pictures).unflatten(1, (len(self.skeleton.edges), self.config.features))

    def forward(self, scene: Scene) -> Rendering:
        joints, looks = self.joints(scene), self.looks(scene.source)
        features = looks.expand(len(joints), -1, -1)
        if not self.training:
            features = torch.cat([features, self.colours.expand(len(joints), -1, -1)], -1)
        latent = self.latent(scene, joints, features)
        latent, primitives = latent[:, :self.config.features], latent[:, self.config.features:]
        rgb, mask = (plane[..., :scene.size[0], :scene.size[1]] for plane in self.decoded(latent, looks))
        if self.training:
            return Rendering(rgb, mask, None, {"appearance": looks})
        # at the picture's size, as all layers are
        shown = {name: functional.interpolate(layer, scale_factor=2**self.config.outer)
                 [..., :scene.size[0], :scene.size[1]]
                 for name, layer in (("latent", latent), ("primitives", primitives))}
        return Rendering(rgb, mask, None, shown)

    def latent(self, scene: Scene, joints: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The picture (B, C, h, w), 2^outer times smaller, of primitives with features (B, E, C)."""
        solids = solids_of(joints[..., :3], self.skeleton, self.widths, joints[..., 3])
        camera, size = _smaller(scene.camera, scene.size, 2**self.config.outer)
        return draw(solids, features, features.new_zeros(features.shape[-1]), camera, size)

    def decoded(self, latent: torch.Tensor, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Colour (B, 3, H, W) and mask (B, 1, H, W), 2^outer times as large as latent pictures (B, F, h, w).

        looks  (1 or B, E, F)
        """
        drawn = self.decoder(latent, looks.flatten(1).expand(latent.shape[0], -1)).to(latent)
        rgb, mask = drawn[:, :3], torch.sigmoid(STEEP * (drawn[:, 3:] - 0.5))
        return (rgb, mask) if self.training else (rgb.clamp(0, 1), mask * (mask >= LEAST))

    def initialize(self, rgb: torch.Tensor) -> None:
        """Nothing is unwrapped."""

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        certain, inside = view.certain.to(view.image), view.trusted().to(view.image)
        drawn, taken = rendering.over(0), view.image * view.mask
        terms = {"colour": COLOUR * losses.l1(rendering.rgb, view.image, inside),
                 "composite": COLOUR * losses.l1(drawn, taken, certain),
                 "mask": MASK * losses.mask_entropy(rendering.mask, view.mask, certain),
                 "appearance": APPEARANCE * rendering.layers["appearance"].square().mean()}
        return terms | self._perceived(drawn, taken, certain)

    def _perceived(self, drawn, taken, certain):
        """What makes pictures sharp, and takes longer than the rest."""
        config, terms = self.config, {}
        for name, weight, compare in (("vgg", config.vgg, losses.vgg),
                                      ("perceptual", config.perceptual, losses.perceptual)):
            if weight:
                found = [compare(*pictures) for pictures in _scales((drawn, taken, certain), config.scales)]
                if found[0] is not None:
                    terms[name] = weight * sum(found)
        if not terms and config.structure:  # stands in for them
            terms["structure"] = config.structure * losses.structure(drawn, taken, certain)
        return terms

    def practise(self, step: int, stage: str) -> dict[str, torch.Tensor]:
        """How far off the lifter is, metres, of people whom nobody filmed and poses that somebody took."""
        with torch.autocast("cpu", enabled=False):  # they are made there, with all digits
            batch = self.examples(step, PRACTISED).to(self.device)
        return {"distance": pose_distance(self.lifter(batch.seen), batch.joints, batch.known, self.skeleton)}

    def stages(self, config: Settings) -> list[Stage]:
        chosen = [name.strip() for name in config.course.split(",")]
        if wrong := [name for name in chosen if name not in SHARES]:
            raise ValueError(f"course names a stage {quoted(wrong[0])}; there are {', '.join(SHARES)}.")
        if config.freeze_renderers:
            return []  # another's networks, as they are, draw whoever the source shows
        fast, slow = ({"decoder": (rate, rate / 20), "encoder": (rate / 10, rate / 200)}
                      for rate in (config.rate, config.rate / 10))
        total = sum(SHARES[name] for name in chosen)
        stages = {POSE: ({"lifter": (6e-3, 1e-4)}, None, True), PICTURES: (fast, None, False),
                  ADVERSARY: (slow, (2e-3, 2e-4), False)}
        return [Stage(name, SHARES[name] / total, groups, adversary, practice=practice)
                for name, (groups, adversary, practice) in stages.items() if name in chosen]


def _smaller(camera: Camera, size: tuple[int, int], times: int) -> tuple[Camera, tuple[int, int]]:
    """The camera of pictures so many times smaller, and their size; what is missing to it is added."""
    small = tuple(-(-pixels // times) for pixels in size)
    height, width = (pixels * times for pixels in small)
    return camera.crop(0, 0, width, height).resize(small), small


def _scales(pictures, count):
    for _ in range(count):
        yield pictures
        pictures = tuple(functional.avg_pool2d(one, 2) for one in pictures)
