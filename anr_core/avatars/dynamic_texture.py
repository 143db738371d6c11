"""Dynamic textures: a 2D pose becomes parts and UV, these sample a texture, and a network makes it alive.

A generator says of every pixel how likely it shows each of 24 parts, and where on that part's chart. A hybrid
texture of colours and features is sampled there (`texture`, which alone would be a static one), a network
adds what moves and folds, and all stands before a background that is learned as well, so that the mask
follows from what the pictures show and not from the masks that came along.

The pose is that of keypoints, and then nothing of a mesh is drawn and no camera is asked for; or it is a
posed body's. Its mesh says where on its parts a pixel is, to a pixel and from any camera, of which keypoints
of a few minutes' film teach little: from new cameras they were 8 pixels of 256 off, in new poses 4, in those
that were trained 1.7. What the generator has to say then is what to mend: clothes stand off the body, and
fits slip. Training does both in turn. It needs a body that was fitted, around which it cuts windows and of
which it takes labels.

Source: Sun et al., Robust pose transfer with dynamic details using neural video rendering, 2021 (arXiv
2106.14132). Other than there:

- limbs are drawn each in a channel of its own, and the generator has a hundredth of the parameters;
- it learns of made-up people, whose labels are exact, and goes on with them while it learns a person, so that
  poses which that person never took stay known;
- a body that is at hand is drawn, and mended;
- of every pixel the two likeliest parts are sampled, and their mean is straight, not darkened at the outline;
- the network adds to colours and mask, and begins by adding nothing;
- errors are means over pixels; the mask is compared once as a probability, not through two sigmoids; flow
  that is resized keeps pointing where it pointed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn import functional

from anr_core import losses
from anr_core.avatars.adversary import PosedAdversary
from anr_core.avatars.backgrounds import Backgrounds
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.dynamic_losses import (
    BEHIND,
    COLOUR,
    COMPOSITE,
    DETAIL,
    HELD,
    MASK,
    MOVED,
    RESTRAINED,
    away,
    beside,
    fixed,
    flickering,
    given,
    lacking_detail,
    misplaced,
    of_mesh,
    on_parts,
    perceived,
    swimming,
    well_inside,
)
from anr_core.avatars.dynamic_settings import (
    DYNAMIC,
    LABELS,
    POSES,
    PRESETS,
    SHARES,
    STARTED,
    STATIC,
    WHOLE,
    Settings,
)
from anr_core.avatars.joints import mix_from_keypoints
from anr_core.avatars.labels import DENSEPOSE, densepose_texture, kind_of_labels
from anr_core.avatars.rims import beyond, far_from, outline
from anr_core.avatars.seen import Seen
from anr_core.body import Surface
from anr_core.body.atlas import is_anny
from anr_core.capture import Capture
from anr_core.capture.view import View
from anr_core.parts import Generator, Labelling, Limbs, MadeUp, charted, keypoint_mix, parts_around
from anr_core.parts.densepose import PARTS
from anr_core.parts.generator import STEP
from anr_core.parts.limbs import COARSE
from anr_core.parts.made_up import STEPS as POOL
from anr_core.parts.made_up import hidden_behind
from anr_core.rasterizer import GBuffer, gbuffer
from anr_core.renderer import UNet
from anr_core.skeleton import BODY25
from anr_core.skeleton.detailed import BODY25_DETAILED
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import quoted
from anr_core.texture import Texture, weave

__all__ = ["PRESETS", "DynamicTexture", "Settings"]

FINE = len(BODY25_DETAILED) - len(BODY25)  # points of hands and face, which stand after the body's
FACE = ("nose", "eye", "ear")
UNSEEN = 0.05  # confidence of a keypoint at and below which the body tells where it is
# How much steeper a mask is drawn than learned, as ANR's; and what of it at both ends is nothing and all.
SHARP, RAGGED = 1.5, 0.04
# Logits by which a mask is less likely where a drawn body is far. Else what was learned of clothes that stand
# off draws shreds beside the person in poses that were never seen.
AWAY = 6.0


class DynamicTexture(Avatar):
    """See the module; `pictures` are (camera name, frame) of the training views."""

    needs = ("keypoints", "posed", "camera", "camera_name")
    draws = "consecutive"
    controls = ("pose", "view", "background")
    adversary = PosedAdversary
    shared = ("generator", "network")

    def __init__(self, config: Settings, surface: Surface | None, pictures: list[tuple[str, int]] = ()):
        super().__init__(config, surface)
        if config.refine_from:
            raise ValueError("A dynamic texture's cameras stay as they are, since backgrounds are seen by "
                             "them: leave refine out, or set refine_from to 0.")
        if config.pose not in POSES:
            raise ValueError(f"pose {quoted(config.pose)} is unknown; use one of {', '.join(POSES)}.")
        self.skeleton = skeleton_named(config.skeleton or "coco23")
        charts = charted(surface)
        for name in ("uv", "uv_faces"):  # they follow from the surface, and move with it
            self.register_buffer(f"chart_{name}", getattr(charts, name), persistent=False)
        self.wants_labels = config.labels == DENSEPOSE
        self.limbs, self.parts = Limbs(self.skeleton), PARTS if self.wants_labels else int(surface.part.max())
        self.register_buffer("mix", torch.zeros(len(self.skeleton), int(surface.faces.max()) + 1))
        face = [name.split("_")[-1] in FACE for name in self.skeleton.names]
        self.register_buffer("of_face", torch.tensor(face), persistent=False)
        self.known = is_anny(surface)
        if self.known:
            self.mix.copy_(keypoint_mix(self.skeleton))
        self.generator = Generator(self.limbs.channels, self.parts, config.generator_width,
                                   config.generator_depth)
        self.texture = Texture(3 + config.features, config.chart_size, 1, self.parts)
        self.network = UNet(3 + config.features + 2, 4, config.width, config.levels or 2, config.fold)
        self.backgrounds = Backgrounds(sorted({camera for camera, _ in pictures}),
                                       config.background_size or config.size)
        # whether the network has begun to add anything: what is averaged over the training has to know too
        self.register_buffer("alive", torch.zeros((), dtype=torch.bool))
        self.examples: MadeUp | None = None

    @property
    def charts(self) -> Surface:
        """The surface with a chart a part."""
        return replace(self.surface, uv=self.chart_uv, uv_faces=self.chart_uv_faces)

    @staticmethod
    def decided(config: Settings, captures: list[Capture]) -> Settings:
        """The settings with the skeleton, the pictures' size and the labels that these captures have."""
        labels = kind_of_labels(config.labels, captures)
        names = {capture.skeleton or "coco23" for capture in captures}
        if len(names) > 1:
            raise ValueError(f"These captures have the skeletons {', '.join(sorted(names))}; people who are "
                             "trained together need one. Annotate them alike, or train them apart.")
        cameras = {(capture.person, shot.camera): capture.cameras[shot.camera]
                   for capture in captures for shot in capture.shots}
        largest = max(max(camera.size) for camera in cameras.values())
        # so that the pictures of many cameras, or of one that moved, take no more memory than those of four
        most = int(1024 * min(1.0, 2 / len(cameras) ** 0.5))
        return replace(config, labels=labels,
                       skeleton=config.skeleton or names.pop(),
                       background_size=config.background_size or min(largest, most))

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
        mine, theirs = (network.state_dict() for network in (self.network, other.network))
        if {name: value.shape for name, value in mine.items()} == {name: value.shape
                                                                   for name, value in theirs.items()}:
            self.network.load_state_dict(theirs)
        else:
            print("The network that adds to colours is of another size there, and begins anew.")

    def begin(self, stage: Stage, views) -> None:
        super().begin(stage, views)
        self.alive.fill_(stage.name == DYNAMIC)
        if self.known and not self.wants_labels:
            self.examples = MadeUp(self.mix, self.charts, self.config.seed)

    def stages(self, config: Settings) -> list[Stage]:
        chosen = [name.strip() for name in config.course.split(",")]
        if wrong := [name for name in chosen if name not in SHARES]:
            raise ValueError(f"course names a stage {quoted(wrong[0])}; there are {', '.join(SHARES)}.")
        rate = config.rate
        # Adam moves a texel that is seldom seen as far as one that often is: faster, tones drift by a tenth
        # and where places on parts are some pixels off, all of them come to a mean of what is around
        colours = 1e-3 if self.knows_bodies else 1e-4
        person = {"texture": (colours, colours / 10), "backgrounds": (4e-3, 4e-4)}
        groups = {LABELS: {"generator": (rate, rate / 2)},
                  STATIC: person | {"generator": (rate / 2, rate / 10)},
                  DYNAMIC: person | {"generator": (rate / 3, rate / 30), "network": (rate / 2, rate / 20)}}
        if config.freeze_renderers:
            groups = {STATIC: person, DYNAMIC: person}
        if not (self.known or self.wants_labels):  # nobody can be made up with such a body
            groups.pop(LABELS, None)
        chosen = [name for name in groups if name in chosen]
        if not chosen:
            raise ValueError(f"course is {quoted(config.course)}, of which nothing can be learned here: "
                             "labels need Anny's body or DensePose's pictures, and renderers that are not "
                             "frozen.")
        total = sum(SHARES[name] for name in chosen)
        return [Stage(name, SHARES[name] / total, groups[name],
                      (4e-4, 4e-5) if name == DYNAMIC and config.adversary else None,
                      practice=name == LABELS and not self.wants_labels,
                      draws="view" if name != DYNAMIC else None) for name in chosen]

    # drawing

    @property
    def knows_bodies(self) -> bool:
        """Whether a posed body's mesh says where on its parts pixels are."""
        return not self.wants_labels and self.config.pose != "keypoints"

    def guided(self, scene: Scene) -> bool:
        """Whether places on parts are a posed body's, and not what the generator makes of a pose.

        While it learns it does both in turn, so that either can be asked for.
        """
        can = scene.posed is not None and self.knows_bodies
        return can and not (self.training and bool(torch.rand(()) < 0.5))

    def points(self, scene: Scene, buffer: GBuffer | None = None) -> torch.Tensor:
        """(B, K, 3) the pose in pixels of the pictures, with confidence.

        buffer  the drawn body, where it is to tell the pose
        """
        if scene.posed is None and scene.keypoints is None:
            raise ValueError("A dynamic texture draws keypoints, or those of a posed body; this scene has "
                             "neither.")
        if scene.keypoints is None or buffer is not None or scene.posed is not None and \
                self.config.pose == "body":
            return self._projected(scene, buffer or self._drawn(scene))
        found = self._fitting(scene.keypoints)
        if scene.posed is None:
            return found
        if self.training:
            # where no mesh says where parts are, it is learned of projected joints too, in turn
            projected = self.config.pose == "both" and not self.knows_bodies and bool(torch.rand(()) < 0.5)
            return self._projected(scene, self._drawn(scene)) if projected else found
        # what nobody detected is where the body has it
        return torch.where(found[..., 2:] > UNSEEN, found, self._projected(scene, self._drawn(scene)))

    def _fitting(self, points):
        """Points of this skeleton, of those that may lack hands and face, or have them alone."""
        own, there = len(self.limbs.joints), points.shape[1]
        fine = len(self.skeleton) - own
        if there == len(self.skeleton):
            return points
        if there == own:
            return functional.pad(points, (0, 0, 0, fine))
        if not fine and there == own + FINE:
            return points[:, :own]
        raise ValueError(f"There are {there} keypoints, but this avatar is drawn out of the "
                         f"{len(self.skeleton)} of {self.config.skeleton or 'coco23'}. Detect these, or draw "
                         "the fitted body.")

    def _drawn(self, scene):
        """The body as the camera sees it, on the charts of its parts."""
        with torch.autocast(self.mix.device.type, enabled=False):
            camera = replace(self.projected(scene.camera, scene.posed), size=scene.size)
            return gbuffer(replace(scene.posed, surface=self.charts), camera, scene.size)

    @torch.no_grad()
    def _projected(self, scene, buffer):
        with torch.autocast(self.mix.device.type, enabled=False):
            pixels, depth = buffer.camera.project(self.mix @ scene.posed.vertices)
            seen = buffer.image(buffer.depth)[:, 0]
        # a face that is not seen tells where somebody looks; a leg behind the other is there all the same, as
        # detectors say too: without it what shows of it was not drawn
        hidden = hidden_behind(seen, pixels, depth, scene.size) & self.of_face
        known = self.mix.any(1) & (depth > 0) & ~hidden
        return torch.cat([pixels, known[..., None].to(pixels)], -1)

    def look(self, scene: Scene) -> tuple[GBuffer | None, torch.Tensor, Labelling | None, Seen]:
        """The drawn body where one guides, limbs' maps, else the generator's labels; what places are seen."""
        buffer = self._drawn(scene) if self.guided(scene) else None
        points = self.points(scene, buffer)
        # training draws windows of the pictures that are drawn later
        maps = self.limbs(points, scene.size, self.config.size if self.training else None)
        labelled = None if buffer else self.generator(maps)
        seen = self._mended(maps, buffer) if buffer else Seen.said(labelled, scene.size)
        return buffer, maps, labelled, seen

    def forward(self, scene: Scene) -> Rendering:
        buffer, maps, labelled, seen = self.look(scene)
        said = seen.logit
        learns = not self.training or not self.knows_bodies or buffer is not None
        sampled, coverage = seen.sampled(self.texture if learns else learning_nothing(self.texture))
        texture, added, logit = self.enlivened(sampled, coverage, said,
                                               torch.full_like(said, float(buffer is not None)))
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
        part, uv = seen.places()
        layers["texture"] = texture.clamp(0, 1) * sharpened(said)
        return Rendering(rgb.clamp(0, 1), sharpened(logit), None, layers | {"parts": part, "uv": uv})

    def enlivened(self, sampled: torch.Tensor, coverage: torch.Tensor, said: torch.Tensor,
                  guided: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The texture's colour, what the network adds to it, and the mask's logit, of (B, C, H, W).

        sampled, coverage  see `Seen.sampled`
        said               logit of seeing any part
        guided             1 where places are a mesh's, else 0: what is added where they are uncertain is
                           another thing
        """
        texture = beyond(sampled[:, :3], coverage, closely=True)
        if not bool(self.alive):
            return texture, torch.zeros_like(texture), said
        more = self.network(torch.cat([sampled, torch.sigmoid(said), guided], 1)).to(sampled)
        return texture, more[:, :3], said + more[:, 3:]

    def _mended(self, maps, buffer):
        """What a drawn body shows, and what the generator mends of it: clothes stand off, fits slip."""
        size = buffer.shape[1:]
        mended = self.generator.mended(maps, parts_around(buffer, self.parts), size)
        self._guide = buffer, mended[:, :2]
        coverage = buffer.coverage()
        return Seen.drawn(buffer, outline(coverage) - AWAY * far_from(coverage), mended)

    def draw_static(self, scene: Scene) -> Rendering:
        """What the texture's colours alone draw, in their own mask, without the network."""
        alive = self.alive.clone()
        try:
            self.alive.fill_(False)
            return self.draw(scene)
        finally:
            self.alive.copy_(alive)

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
                "place": 5 * misplaced(labelled, example.part, example.uv)}

    def _labelled_people(self, step, count):
        side = COARSE * (self.config.size // COARSE)
        with torch.autocast("cpu", enabled=False):
            example = self.examples(step, count, (side, side), STEP).to(self.device)
        return self.generator(self.limbs(example.points, (side, side))), example

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        layers, certain = rendering.layers, view.certain.to(view.image)
        known = layers["known"] * certain
        if stage == LABELS:
            return given(self._labelled, view, whole=True)
        behind = layers["behind"].detach()
        inside = well_inside(view) * (layers["static mask"].detach() > 0.5)
        static = Rendering(fixed(layers["texture"], inside), layers["static mask"])
        terms = {"composite": COMPOSITE * losses.mse(static.over(behind), view.image, known),
                 "colour": COLOUR * losses.mse(layers["texture"], view.image, inside * layers["coverage"]),
                 "mask": MASK[stage] * losses.mask_entropy(rendering.mask, view.mask, certain),
                 # through the composite, a mask that is not sharp yet would draw the person into it
                 "behind": BEHIND * losses.mse(layers["behind"], view.image, known * away(rendering, view))}
        if stage == DYNAMIC:
            drawn = replace(rendering, rgb=fixed(rendering.rgb, inside)).over(behind)
            terms |= {"drawn": COMPOSITE * losses.mse(drawn, view.image, known),
                      "drawn colour": COLOUR * losses.mse(rendering.rgb, view.image, inside),
                      "held": HELD * losses.weighted_mean(layers["added"].square(), 1 - inside),
                      "restrained": RESTRAINED * losses.weighted_mean(layers["added"].square(), inside)}
            terms |= perceived(self.config, drawn, view, known)
            if view.flow is not None and self.config.temporal:
                terms["temporal"] = self.config.temporal * flickering(drawn, view)
        # on a body's mesh the texture's detail stays where it is; what a network makes up for it would swim
        if self._labelled is None:
            detailed = layers["texture"] + layers["added"].detach()
            terms["detail"] = DETAIL * lacking_detail(detailed, view, inside)
            guide, places = self._guide
            terms["moved"] = MOVED * places.square().mean()
            if "temporal" in terms:
                terms["swimming"] = self.config.temporal * swimming(places, layers["added"], guide)
        elif stage == DYNAMIC:
            terms["detail"] = DETAIL * lacking_detail(rendering.rgb, view, inside)
        if self._labelled is not None and self.wants_labels:
            terms |= given(self._labelled, view)
        elif self._labelled is not None and scene.posed is not None:
            terms |= of_mesh(self._labelled, replace(scene.posed, surface=self.charts),
                             self.projected(scene.camera, scene.posed), inside)
        return terms | self._replayed()

    def _replayed(self):
        """What was learned of made-up people, so that it isn't forgotten."""
        if self.examples is None or not self.generator.leave.weight.requires_grad:
            return {}
        # out of one pool: others would have to be made first
        labelled, example = self._labelled_people(int(torch.randint(POOL, ())), self.config.kept)
        terms = on_parts(labelled, example.part, example.uv) | {"beside": beside(labelled, example.part)}
        return {f"kept {name}": term for name, term in terms.items()}


def learning_nothing(module: torch.nn.Module) -> Callable[..., torch.Tensor]:
    """A module whose parameters have no part in what is learned; what goes in has.

    Where places are some pixels off, a texture would learn a mean of what is around: after 1000 steps half
    of the sharpness was left.
    """
    kept = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return lambda *given: torch.func.functional_call(module, kept, given)


def sharpened(logit: torch.Tensor) -> torch.Tensor:
    """The mask that is drawn, of the logit that is learned: without the haze around and the holes inside."""
    return ((torch.sigmoid(SHARP * logit) - RAGGED) / (1 - 2 * RAGGED)).clamp(0, 1)
