"""Dynamic textures: a 2D pose becomes parts and UV, these sample a texture, and a network makes it alive.

Nothing of a mesh is drawn: a generator says of every pixel how likely it shows each of 24 parts, and where on
that part's chart. A hybrid texture of colours and features is sampled there (`texture`, which alone would be
a static one), a network adds what moves and folds, and all stands before a background that is learned as
well, so that the mask follows from what the pictures show and not from the masks that came along.

The pose is that of keypoints, or of a body's keypoints as the camera sees them; no camera is needed beside.

Source: Sun et al., Robust pose transfer with dynamic details using neural video rendering, 2021 (arXiv
2106.14132). Other than there:

- limbs are drawn each in a channel of its own, and the generator has a hundredth of the parameters;
- it learns of made-up people, whose labels are exact, and goes on with them while it learns a person, so that
  poses which that person never took stay known;
- of every pixel the two likeliest parts are sampled, and their mean is straight, not darkened at the outline;
- the network adds to colours and mask, and begins by adding nothing;
- errors are means over pixels; the mask is compared once as a probability, not through two sigmoids; flow
  that is resized keeps pointing where it pointed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch.nn import functional

from anr_core import losses
from anr_core.avatars.adversary import PosedAdversary
from anr_core.avatars.backgrounds import Backgrounds
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import Config
from anr_core.avatars.joints import mix_from_keypoints
from anr_core.avatars.labels import DENSEPOSE, densepose_texture, kind_of_labels
from anr_core.avatars.rims import beyond
from anr_core.body import Surface
from anr_core.capture import Capture
from anr_core.capture.flow import warped
from anr_core.capture.view import View
from anr_core.parts import Generator, Labelling, Limbs, MadeUp, charted, keypoint_mix
from anr_core.parts.charts import is_anny
from anr_core.parts.densepose import PARTS
from anr_core.parts.generator import STEP
from anr_core.parts.made_up import STEPS as POOL
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.renderer import UNet
from anr_core.skeleton.named import skeleton_named
from anr_core.texture import Texture, weave

LABELS, STATIC, DYNAMIC = "labels", "static", "dynamic"
WHOLE, STARTED = f"{LABELS}, {STATIC}, {DYNAMIC}", f"{STATIC}, {DYNAMIC}"
SHARES = {LABELS: 0.3, STATIC: 0.3, DYNAMIC: 0.4}

LEAST, SECOND = 0.04, 0.1  # probabilities below which the likeliest part, and the next, are not sampled
NEAR = 7  # pixels, an odd number: so wide around the person nothing is learned of the background
UNSEEN = 0.05  # confidence of a keypoint at and below which the body tells where it is
# How much steeper a mask is drawn than learned, as ANR's; and what of it at both ends is nothing and all.
SHARP, RAGGED = 1.5, 0.04
HIDDEN = 0.13  # metres that a keypoint may lie behind the surface and still be seen

# Weights of the losses beside that of the composite, which is 10.
COMPOSITE, COLOUR, PART, PLACE, HELD, BEHIND = 10.0, 1.0, 0.05, 0.5, 0.3, 10.0
# The masks that came along form the mask at first, then hardly hold it.
MASK = {"static": 0.3, "dynamic": 0.05}


@dataclass(frozen=True)
class Settings(Config):
    """A dynamic texture's settings; `width` and `levels` are those of the network that adds to colours."""

    network_settings: ClassVar[tuple[str, ...]] = ("labels", "skeleton", "features", "width", "levels",
                                                    "fold")

    system: str = "dynamic-texture"
    # the stages it goes through: "labels" (the generator learns of people whom nobody filmed), "static" (the
    # person, with the texture's colours alone) and "dynamic" (all of it, smooth in time). With --init, which
    # brings another run's generator and network along, the first is left out
    course: str = WHOLE
    # whose parts and charts: "surface", the registered body's, whose labels made-up people have too, or
    # "densepose", out of pictures that came along and are then learned from in "labels"; nothing takes
    # DensePose's where every training picture has them
    labels: str = ""
    # the set of keypoints that tells a pose; nothing takes the capture's
    skeleton: str = ""
    # what training takes poses from: "keypoints" as they were detected, the "body", or "both" in turn
    pose: str = "both"
    # channels of the generator's first level and its residual blocks; a smaller one fits into a larger one
    generator_width: int = 24
    generator_depth: int = 2
    # texels a side of each part's chart, and channels beside the colour
    chart_size: int = 96
    features: int = 15
    # where backgrounds begin: "plate" (the capture's), "median" of what is seen without the person, or
    # "frame", any picture
    background: str = "plate"
    # side of their pictures, pixels; 0 takes the capture's
    background_size: int = 0
    # made-up people a step
    made_up: int = 4
    # and how many go on to be practised while a person is learned
    kept: int = 1
    # weight of how much a frame differs from the one before it, moved along the flow
    temporal: float = 5.0
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


class DynamicTexture(Avatar):
    """See the module; `pictures` are (camera name, frame) of the training views."""

    needs = ("keypoints", "posed", "camera", "camera_name")
    draws = "consecutive"
    controls = ("pose", "view", "background")
    adversary = PosedAdversary
    shared = ("generator", "network")

    def __init__(self, config: Settings, surface: Surface | None, pictures: list[tuple[str, int]] = ()):
        super().__init__(config, surface)
        self.skeleton = skeleton_named(config.skeleton or "coco23")
        charts = charted(surface)
        for name in ("uv", "uv_faces"):  # they follow from the surface, and move with it
            self.register_buffer(f"chart_{name}", getattr(charts, name), persistent=False)
        self.wants_labels = config.labels == DENSEPOSE
        self.limbs, self.parts = Limbs(self.skeleton), PARTS if self.wants_labels else int(surface.part.max())
        self.register_buffer("mix", torch.zeros(len(self.skeleton), int(surface.faces.max()) + 1))
        self.known = is_anny(surface)
        if self.known:
            self.mix.copy_(keypoint_mix(self.skeleton))
        self.generator = Generator(self.limbs.channels, self.parts, config.generator_width,
                                   config.generator_depth)
        self.texture = Texture(3 + config.features, config.chart_size, 1, self.parts)
        self.network = UNet(3 + config.features + 1, 4, config.width, config.levels or 2, config.fold)
        self.backgrounds = Backgrounds(sorted({camera for camera, _ in pictures}),
                                       config.background_size or config.size)
        self.stage: str | None = None
        self.examples: MadeUp | None = None

    @property
    def charts(self) -> Surface:
        """The surface with a chart a part."""
        return replace(self.surface, uv=self.chart_uv, uv_faces=self.chart_uv_faces)

    @staticmethod
    def decided(config: Settings, captures: list[Capture]) -> Settings:
        """The settings with the skeleton, the pictures' size and the labels that these captures have."""
        names = {capture.skeleton or "coco23" for capture in captures}
        if len(names) > 1 and not config.skeleton:
            raise ValueError(f"These captures have the skeletons {', '.join(sorted(names))}; people who are "
                             "trained together need one. Set \"skeleton\" in --config.")
        largest = max(max(camera.size) for capture in captures for camera in capture.cameras.values())
        return replace(config, labels=kind_of_labels(config.labels, captures),
                       skeleton=config.skeleton or names.pop(),
                       background_size=config.background_size or min(largest, 1024))

    @staticmethod
    def started(config: Settings) -> Settings:
        """Another's generator knows people already; who says otherwise names another course."""
        return replace(config, course=STARTED) if config.course == WHOLE else config

    # what training begins with

    def look_at(self, capture: Capture) -> None:
        self.backgrounds.begin(capture, self.config.background)
        if not self.known:
            views = capture.evenly(60).views(crop="body", size=self.config.size)
            self.mix.copy_(mix_from_keypoints(((view, capture.body(view.pose)) for view in views),
                                              self.skeleton))
        if self.wants_labels:
            self.texture.write(densepose_texture(capture, self.config.chart_size))

    def initialize(self, rgb: torch.Tensor) -> None:
        if not self.wants_labels:  # else it was looked at
            self.texture.write(weave(rgb, self.surface, self.charts, self.config.chart_size, self.parts))

    def take_over(self, other: Avatar) -> None:
        """Start from another's generator, which may be smaller, and its network."""
        if self.config.freeze_texture:
            raise ValueError("A dynamic texture is learned with what draws it. Leave --freeze-texture out.")
        self.generator.take(other.generator)
        self.network.load_state_dict(other.network.state_dict())

    def begin(self, stage: Stage, views) -> None:
        super().begin(stage, views)
        self.stage = stage.name
        if self.known and not self.wants_labels:
            self.examples = MadeUp(self.mix, self.charts, self.config.seed)

    def stages(self, config: Settings) -> list[Stage]:
        chosen = [name.strip() for name in config.course.split(",")]
        if wrong := [name for name in chosen if name not in SHARES]:
            raise ValueError(f"course names a stage {wrong[0]!r}; there are {', '.join(SHARES)}.")
        chosen = [name for name in SHARES if name in chosen and
                  (self.known or self.wants_labels or name != LABELS)]
        total = sum(SHARES[name] for name in chosen)
        slow = (config.rate / 3, config.rate / 30)
        # Adam moves a texel that is seldom seen as far as one that often is: faster, tones drift by a tenth
        person = {"texture": (1e-3, 1e-4), "backgrounds": (4e-3, 4e-4)}
        groups = {LABELS: {"generator": (config.rate, config.rate / 2)},
                  STATIC: person | {"generator": (config.rate / 2, config.rate / 10)},
                  DYNAMIC: person | {"generator": slow, "network": (config.rate / 2, config.rate / 20)}}
        if config.freeze_renderers:
            groups = {STATIC: person, DYNAMIC: person}
            chosen = [name for name in chosen if name in groups]
        return [Stage(name, SHARES[name] / total, groups[name],
                      (4e-4, 4e-5) if name == DYNAMIC and config.adversary else None,
                      practice=name == LABELS and not self.wants_labels,
                      draws="view" if name != DYNAMIC else None) for name in chosen]

    # drawing

    def points(self, scene: Scene) -> torch.Tensor:
        """(B, K, 3) the pose in pixels of the pictures, with confidence."""
        if scene.posed is None and scene.keypoints is None:
            raise ValueError("A dynamic texture draws keypoints, or those of a posed body; this scene has "
                             "neither.")
        if scene.posed is None:
            return scene.keypoints
        if scene.keypoints is None or self.config.pose == "body":
            return self._projected(scene)
        if self.training and self.config.pose == "keypoints":
            return scene.keypoints
        body = self._projected(scene)
        if self.training:  # each as it is, in turn
            return body if bool(torch.rand(()) < 0.5) else scene.keypoints
        # what nobody detected is where the body has it
        return torch.where(scene.keypoints[..., 2:] > UNSEEN, scene.keypoints, body)

    @torch.no_grad()
    def _projected(self, scene):
        camera = self.projected(scene.camera, scene.posed)
        with torch.autocast(self.mix.device.type, enabled=False):
            points = self.mix @ scene.posed.vertices
            pixels, depth = camera.project(points)
            height, width = (max(1, -(-pixels // 2)) for pixels in scene.size)
            seen = rasterize(scene.posed.vertices, self.charts.faces, replace(camera, size=scene.size)
                             .resize((height, width)), (height, width)).depth
        column = (pixels[..., 0] / 2).nan_to_num().long().clamp(0, width - 1)
        row = (pixels[..., 1] / 2).nan_to_num().long().clamp(0, height - 1)
        front = seen.flatten(1).gather(1, row * width + column)
        known = self.mix.any(1) & (depth > 0) & ~((front > 0) & (depth - front > HIDDEN))
        return torch.cat([pixels, known[..., None].to(pixels)], -1)

    def forward(self, scene: Scene) -> Rendering:
        points = self.points(scene)
        maps = self.limbs(points, scene.size)
        labelled = self.generator(maps)
        logit = said = labelled.foreground(scene.size)
        sampled, coverage, top = self._sampled(labelled, torch.sigmoid(said), scene.size)
        texture = beyond(sampled[:, :3], coverage)
        added = torch.zeros_like(texture)
        if self.stage not in (LABELS, STATIC):
            more = self.network(torch.cat([sampled, torch.sigmoid(said)], 1)).to(sampled)
            added, logit = more[:, :3], said + more[:, 3:]
        rgb, mask = texture + added, torch.sigmoid(logit)
        behind, known = self.backgrounds(scene.camera, scene.camera_name, scene.size)
        layers = {"texture": texture, "features": sampled, "added": added, "coverage": coverage,
                  "behind": behind, "known": known}
        if self.training:
            self._labelled = labelled
            layers["static mask"] = torch.sigmoid(said)
            if self.config.adversary:
                layers["pose"] = self.limbs.picture(maps.detach(), scene.size)
            return Rendering(rgb, mask, None, layers)
        part, uv = top
        layers["texture"] = texture.clamp(0, 1) * _sharpened(said)
        return Rendering(rgb.clamp(0, 1), _sharpened(logit), None, layers | {"parts": part, "uv": uv})

    def draw_static(self, scene: Scene) -> Rendering:
        """What the texture's colours alone draw, in their own mask, without the network."""
        stage, self.stage = self.stage, STATIC
        try:
            return self.draw(scene)
        finally:
            self.stage = stage

    def _sampled(self, labelled: Labelling, foreground: torch.Tensor, size: tuple[int, int]):
        """The texture where parts are seen: (B, C, H, W) straight, (B, 1, H, W) coverage, and outside of
        training the likeliest part (B, 1, H, W) with its place (B, 2, H, W)."""
        weight, part = _likeliest(labelled.shares(size))
        (count, _, height, width), sure = weight.shape, weight * foreground
        there = torch.cat([sure[:, :1] > LEAST, sure[:, 1:] > SECOND], 1)
        picture, rank, row, column = there.nonzero().unbind(1)
        pixels = (picture * height + row) * width + column
        chosen, weights = 1 + part[there], weight[there]
        uv = labelled.uv(pixels, chosen, size)
        values = self.texture(chosen, uv)
        total = values.new_zeros(count * height * width, values.shape[1] + 1)
        total = total.index_add(0, pixels, torch.cat([values, torch.ones_like(weights)[:, None]], 1)
                                * weights[:, None])
        covered = total[:, -1:] > 0
        straight = total[:, :-1] / total[:, -1:].clamp(min=1e-6)
        sampled = straight.view(count, height, width, -1).permute(0, 3, 1, 2)
        covered = covered.view(count, 1, height, width).to(sampled)
        if self.training:
            return sampled, covered, None
        first = rank == 0
        shown = values.new_zeros(count * height * width, 3)
        shown[pixels[first]] = torch.cat([chosen[first, None].to(uv), uv[first]], 1).detach()
        shown = shown.view(count, height, width, 3).permute(0, 3, 1, 2)
        return sampled, covered, shown.split([1, 2], 1)

    def pictures(self) -> dict[str, torch.Tensor]:
        """The texture's colours, part by part from the left and from above, and what is behind the person."""
        with torch.no_grad():
            rows = self.texture.image()[:, :3].clamp(0, 1).split(6)
            rows = [functional.pad(row, (0, 0, 0, 0, 0, 0, 0, 6 - len(row))) for row in rows]
            found = {"texture parts": torch.cat([torch.cat(list(row), 2) for row in rows], 1)}
            for name in self.backgrounds.names[:4]:
                behind = self.background(name)
                found |= {} if behind is None else {f"background of {name}": behind[0]}
        return found

    def background(self, camera_name: str) -> torch.Tensor | None:
        """(1, 3, H, W) what a camera that it was trained on sees without the person; None for another."""
        with torch.no_grad():
            return self.backgrounds.picture(camera_name)

    # learning

    def practise(self, step: int, stage: str) -> dict[str, torch.Tensor]:
        """How far off the generator's labels of made-up people are."""
        labelled, example = self._labelled_people(step, self.config.made_up)
        return {"part": functional.cross_entropy(labelled.logits, example.part),
                "place": 5 * _misplaced(labelled, example.part, example.uv)}

    def _labelled_people(self, step, count):
        side = STEP * (self.config.size // STEP)
        with torch.autocast("cpu", enabled=False):
            example = self.examples(step, count, (side, side), STEP).to(self.device)
        return self.generator(self.limbs(example.points, (side, side))), example

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        layers, certain = rendering.layers, view.certain.to(view.image)
        known = layers["known"] * certain
        if stage == LABELS:
            return self._given(self._labelled, view, whole=True)
        static = Rendering(layers["texture"], layers["static mask"])
        behind = layers["behind"].detach()
        inside = view.trusted().to(view.image) * (static.mask.detach() > 0.5)
        terms = {"composite": COMPOSITE * losses.mse(static.over(behind), view.image, known),
                 "colour": COLOUR * losses.mse(layers["texture"], view.image, inside * layers["coverage"]),
                 "mask": MASK[stage] * losses.mask_entropy(rendering.mask, view.mask, certain),
                 # through the composite, a mask that is not sharp yet would draw the person into it
                 "behind": BEHIND * losses.mse(layers["behind"], view.image, known * _away(rendering, view))}
        if stage == DYNAMIC:
            drawn = rendering.over(behind)
            terms |= {"drawn": COMPOSITE * losses.mse(drawn, view.image, known),
                      "drawn colour": COLOUR * losses.mse(rendering.rgb, view.image, inside),
                      "held": HELD * losses.weighted_mean(layers["added"].square(), 1 - inside)}
            if view.flow is not None and self.config.temporal:
                terms["temporal"] = self.config.temporal * _flickering(drawn, view)
        return terms | self._labels(scene, self._labelled, view, inside) | self._replayed()

    def _labels(self, scene, labelled, view, inside):
        """How far the labels are off those of the registered mesh, or those that came with the view."""
        if self.wants_labels:
            return self._given(labelled, view)
        if scene.posed is None:
            return {}
        height, width = labelled.logits.shape[2:]
        with torch.no_grad():
            camera = self.projected(scene.camera, scene.posed).crop(0, 0, STEP * width, STEP * height)
            buffer = gbuffer(replace(scene.posed, surface=self.charts), camera.resize((height, width)),
                             (height, width))
            room = STEP * width - scene.size[1], STEP * height - scene.size[0]
            inside = functional.avg_pool2d(functional.pad(inside, (0, room[0], 0, room[1])), STEP) > 0.999
            iuv = buffer.iuv() * inside
        part = iuv[:, 0].round().long()
        right = functional.cross_entropy(labelled.logits, part, reduction="none")
        return {"part": PART * losses.weighted_mean(right[:, None], (part > 0).to(right)[:, None]),
                "place": PLACE * _misplaced(labelled, part, iuv[:, 1:])}

    def _given(self, labelled, view, whole=False):
        """How far the labels are off those that a view came with; whole: learned of nothing else.

        Where a mask has somebody and DensePose nobody, nothing is known.
        """
        if view.labels is None:
            return {}
        on, off = ((view.certain & seen).to(view.image) for seen in (view.mask > 0.5, view.mask < 0.5))
        planes = torch.cat([view.labels[:, :1].round() * on, view.labels[:, 1:], on, off], 1)
        part, u, v, on, off = _coarse(planes, labelled.logits.shape[2:]).unbind(1)
        counts = on * (part > 0) + (off if whole else 0)
        right = functional.cross_entropy(labelled.logits, part.long(), reduction="none")[:, None]
        misplaced = _misplaced(labelled, part.long(), torch.stack([u, v], 1))
        return {"part": (1.0 if whole else PART) * losses.weighted_mean(right, counts[:, None]),
                "place": (5.0 if whole else PLACE) * misplaced}

    def _replayed(self):
        """What was learned of made-up people, so that it isn't forgotten."""
        if self.examples is None or not self.generator.leave.weight.requires_grad:
            return {}
        # out of one pool: others would have to be made first
        labelled, example = self._labelled_people(int(torch.randint(POOL, ())), self.config.kept)
        right = functional.cross_entropy(labelled.logits, example.part, reduction="none")[:, None]
        return {"kept part": PART * losses.weighted_mean(right, (example.part > 0).to(right)[:, None]),
                "kept place": PLACE * _misplaced(labelled, example.part, example.uv)}


def _sharpened(logit: torch.Tensor) -> torch.Tensor:
    """The mask that is drawn, of the logit that is learned: without the haze around and the holes inside."""
    return ((torch.sigmoid(SHARP * logit) - RAGGED) / (1 - 2 * RAGGED)).clamp(0, 1)


def _likeliest(probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of (B, P, H, W) the two largest, (B, 2, H, W), and which they are, from 0; topk takes twice as long."""
    first, which = probability.max(1, keepdim=True)
    if probability.shape[1] == 1:
        return first, which
    rest = probability.scatter(1, which, -1.0)
    second, other = rest.max(1, keepdim=True)
    return torch.cat([first, second], 1), torch.cat([which, other], 1)


def _flickering(drawn: torch.Tensor, view: View) -> torch.Tensor:
    """How much more than a picture that was taken a drawn one differs from the one before it, on the person.

    Both are compared along the flow: absolute differences, of which the taken pictures' own are taken off,
    and where these are larger nothing is left. Else a person is blurred: what moved, or was lit otherwise,
    was not to change either. Source, but for that: Sun et al.
    """
    flow, trusted = view.flow.chunk(2)[1].split([2, 1], 1)
    before, after = view.certain.to(drawn).chunk(2)
    trusted = trusted * after * (warped(before, flow) > 0.999) * (view.mask.chunk(2)[1] > 0.5)
    changes = []
    for pictures in (drawn, view.image):
        before, after = pictures.chunk(2)
        changes.append((after - warped(before, flow)).abs())
    return losses.weighted_mean((changes[0] - changes[1]).clamp(min=0), trusted)


@torch.no_grad()
def _away(rendering: Rendering, view: View) -> torch.Tensor:
    """(B, 1, H, W) 1 where neither the drawn mask nor the one that came along has anybody near."""
    person = torch.maximum(rendering.mask, view.mask * view.certain)
    return (functional.max_pool2d(person, NEAR, 1, NEAR // 2) < 0.1).to(person)


def _coarse(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Planes (B, C, H, W), of which the first is a part, STEP times smaller and rounded up: (B, C, h, w).

    Each place is the mean of the first and the last of its pixels; where these are of two parts it is 0.
    """
    room = [STEP * small - large for small, large in zip(size, planes.shape[2:], strict=True)]
    planes = functional.pad(planes, (0, room[1], 0, room[0]))
    first, last = (planes[..., corner::STEP, corner::STEP] for corner in (0, STEP - 1))
    return (first + last) / 2 * (first[:, :1] == last[:, :1])


def _misplaced(labelled: Labelling, part: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of coordinates, where a part (B, H, W) is seen; uv (B, 2, H, W)."""
    pixels = (part.flatten() > 0).nonzero()[:, 0]
    if not len(pixels):
        return labelled.chart.sum() * 0
    wanted = uv.permute(0, 2, 3, 1).flatten(0, 2)[pixels]
    return (labelled.uv(pixels, part.flatten()[pixels]) - wanted).abs().mean()
