"""What an avatar is: the contract by which every system plugs into one loop, one evaluation, one viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from anr_core.avatars.adversary import Adversary
from anr_core.avatars.config import Config
from anr_core.avatars.resizing import ResizedLayers
from anr_core.body import Body, Pose, Posed, Surface
from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.capture.view import View

if TYPE_CHECKING:
    from anr_core.avatars.refinement import Refinement


@dataclass(frozen=True)
class Scene:
    """What is to be drawn; an avatar reads only the fields that its `needs` names.

    posed        the mesh in its pose
    camera       B cameras of pictures of `size`
    size         (H, W) of the picture, pixels
    keypoints    (B, K, 3)     pixels and confidence, or None
    frame        (B,)          frame numbers, or None
    camera_name  names of known cameras, None where a camera is new
    joints       (B, J, 4)     metres, world, and confidence, of an avatar's own skeleton, in place of a mesh
    source       1 or B views that lend their looks, or None
    image        (B, C, H, W)  what an image-to-image system is given instead of a mesh, or None
    pixels       (B, N, 2)     the camera's pixels to draw, N = H W, row by row; None for all of its own
    """

    posed: Posed | None
    camera: Camera | None
    size: tuple[int, int]
    keypoints: torch.Tensor | None = None
    frame: torch.Tensor | None = None
    camera_name: list[str | None] | None = None
    joints: torch.Tensor | None = None
    source: View | None = None
    image: torch.Tensor | None = None
    pixels: torch.Tensor | None = None


@dataclass(frozen=True)
class Rendering:
    """What was drawn: straight sRGB colour, never multiplied by the mask.

    rgb     (B, 3, H, W)  in [0, 1]
    mask    (B, 1, H, W)  in [0, 1]
    depth   (B, 1, H, W)  metres, or None
    layers  named pictures (B, C, H, W) of the way there, for the viewer
    """

    rgb: torch.Tensor
    mask: torch.Tensor
    depth: torch.Tensor | None = None
    layers: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def over(self, background: torch.Tensor | float) -> torch.Tensor:
        """Composite over a colour or a picture that broadcasts to (B, 3, H, W)."""
        return self.rgb * self.mask + background * (1 - self.mask)


@dataclass(frozen=True)
class Stage:
    """One stretch of a training schedule.

    name       what `losses` is told
    share      part of the run's budget (steps or minutes) that it takes, in (0, 1]
    groups     {parameter group: (learning rate, learning rate at the end)}; a group is the beginning of
               parameters' names, other parameters rest
    adversary  learning rates of a discriminator that is trained along; None where nobody judges
    plateau    (factor, patience): the rates don't follow the schedule to their end, but are multiplied by the
               factor after more than so many looks in a row that find the loss no lower; None: the schedule
    practice   it learns from made-up examples, not from views: `Avatar.practise`
    clip       bound of each gradient's absolute value, or None
    draws      what a batch holds, if not what the avatar's others do: "view" where no frame needs another
    """

    name: str
    share: float
    groups: dict[str, tuple[float, float]]
    adversary: tuple[float, float] | None = None
    plateau: tuple[float, int] | None = None
    practice: bool = False
    clip: float | None = None
    draws: str | None = None


class Avatar(nn.Module):
    """A person that can be drawn; one subclass a system.

    needs       the Scene fields it uses
    draws       what a training batch holds: "view", "view pair", "consecutive", "rays" or "image pair"
    knows_bodies  whether it draws keypoints, but a posed body better: its mesh tells where on it pixels are
    wants_labels  whether views come with the labels of parts that their capture keeps
    controls    what the viewer shows
    adversary   who judges what it draws, in stages that have someone judge
    shared      its modules that another person can have too: they know nothing of a surface
    textured    its modules and buffers that know how a person looks, if these can rest while others learn
    surface     what its poses are drawn on; a checkpoint keeps it; None where pairs of pictures taught it
    body        what poses it, or None where only posed meshes are given, or no meshes at all
    up          (3,) the world's unit vector against gravity
    refinement  small corrections of what it was trained on, or None
    """

    needs: tuple[str, ...] = ("posed", "camera")
    draws: str = "view"
    knows_bodies: bool = False
    wants_labels: bool = False
    controls: tuple[str, ...] = ("pose", "view", "background", "texture")
    adversary: type[Adversary] = Adversary
    shared: tuple[str, ...] = ()
    textured: tuple[str, ...] = ()

    def __init__(self, config: Config, surface: Surface | None):
        super().__init__()
        self.config, self.has_surface = config, surface is not None
        for name in () if surface is None else ("faces", "uv", "uv_faces", "part"):
            self.register_buffer(f"surface_{name}", getattr(surface, name).clone())
        self.body: Body | None = None
        self.up = torch.tensor([0.0, 0.0, 1.0])
        self.refinement: Refinement | None = None

    @property
    def surface(self) -> Surface | None:
        """What poses are drawn on; None where pairs of pictures taught it."""
        if not self.has_surface:
            return None
        return Surface(self.surface_faces, self.surface_uv, self.surface_uv_faces, self.surface_part)

    @property
    def device(self) -> torch.device:
        """Where its buffers and parameters are."""
        return next(chain(self.buffers(), self.parameters())).device

    @staticmethod
    def decided(config: Config, captures: list[Capture]) -> Config:
        """The settings with those decided that the captures to train on decide."""
        return config

    @staticmethod
    def started(config: Config) -> Config:
        """The settings of a training that starts from another run's networks: what these know rests."""
        return config

    def forward(self, scene: Scene) -> Rendering:
        """Draw B scenes at their size, out of the fields that `needs` names; in training with gradients.

        Colours of a training may leave [0, 1]; `draw` is what to call to look at somebody.
        """
        raise NotImplementedError

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        """Named scalars whose sum is minimised.

        Each holds its weight already. `stage` is the name of the stage that is trained.
        """
        raise NotImplementedError

    def practise(self, step: int, stage: str) -> dict[str, torch.Tensor]:
        """What `losses` returns, of made-up examples that follow from the settings and a step's number."""
        raise NotImplementedError

    def stages(self, config: Config) -> list[Stage]:
        """The training schedule; empty for an avatar that only unwraps."""
        raise NotImplementedError

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        """Enter a stage of training: parameters outside of its groups rest.

        views gives each training view with its mesh, or with a number at the most so many, spread evenly, for
        what is better computed than learned; what is made of them has to be the same when a training goes on
        in the middle of the stage.
        """
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(tuple(stage.groups)))

    def look_at(self, capture: Capture) -> None:
        """Take from what it is to be trained on, once, before all stages, what is read off it as a whole."""

    def initialize(self, rgb: torch.Tensor) -> None:
        """Start from the unwrapped texture (P, 3, h, w)."""
        raise NotImplementedError

    def take_over(self, other: Avatar) -> None:
        """Draw as another avatar does, whose settings of the network are alike; and where `freeze_texture` is
        set look as it does.

        Raises ValueError where the other has nothing to take over.
        """
        if not other.shared:
            raise ValueError(f"A {other.config.system} avatar has no renderers for --init. Name another run.")
        for name in other.shared:
            getattr(self, name).load_state_dict(getattr(other, name).state_dict())
        if not self.config.freeze_texture:
            return
        mine, theirs = self.state_dict(), other.state_dict()
        looks = [name for name in mine if name.startswith(self.textured)] if self.textured else []
        alike = [name for name in mine if name.startswith("surface")]
        if not looks or not alike:
            what = f"A {self.config.system} avatar" if alike else "An avatar of pairs of pictures"
            raise ValueError(f"{what} has no texture that could rest. Leave --freeze-texture out.")
        if any(name not in theirs or theirs[name].shape != mine[name].shape for name in looks + alike) or \
                not all(torch.equal(theirs[name], mine[name]) for name in alike):
            raise ValueError("--freeze-texture needs a run of the same body, and texture_size, in --init.")
        for name in looks:
            mine[name].copy_(theirs[name])

    def background(self, camera_name: str) -> torch.Tensor | None:
        """(1, 3, H, W) the picture behind the person that was learned of a camera, or None."""
        return None

    def pictures(self) -> dict[str, torch.Tensor]:
        """By name, (3, H, W) each: what of this person is a picture, but not drawn, such as a texture."""
        return {}

    def inputs(self, scene: Scene) -> list[torch.Tensor]:
        """For image pairs: the input (1, C, H, W) that this avatar draws of a training view, or several.

        Of several, one is chosen each time that the view is learned from. The last channel is coverage.
        """
        raise NotImplementedError

    def placed(self, view: View, body: Body | None) -> tuple[View, Posed | None]:
        """Views and their meshes on this avatar's surface; corrected, where a refinement was learned.

        Without a body there are none, and views are as they are.
        """
        if body is None:
            return view, None
        if self.refinement is None:
            posed = body(view.pose)
        else:
            posed, camera = self.refinement(view, body)
            view = replace(view, camera=camera)
        return view, posed.on(self.surface)

    def projected(self, camera: Camera, posed: Posed) -> Camera:
        """The camera as this avatar was trained to see: itself, or its weak-perspective approximation."""
        if self.config.projection == "perspective":
            return camera
        with torch.autocast(camera.K.device.type, enabled=False):  # places keep their digits
            return camera.as_weak(posed.vertices.mean(1))

    @torch.no_grad()
    def draw(self, scene: Scene) -> Rendering:
        """Draw without gradients, at a size that is not too far from the trained one.

        Pictures up to 1.5 times larger or smaller than trained are drawn directly, others at the nearest such
        size and then resized.
        """
        scale = max(scene.size) / self.config.size
        near = min(max(scale, 1 / 1.5), 1.5)
        if near == scale:
            return self(scene)
        size = tuple(max(1, round(n * near / scale)) for n in scene.size)

        def resized(picture, size=scene.size):
            return functional.interpolate(picture, size=size, mode="bilinear",
                                          antialias=size[0] < picture.shape[-2], align_corners=False)

        camera = scene.camera and replace(scene.camera, size=scene.size).resize(size)
        image = None if scene.image is None else resized(scene.image, size)
        keypoints = scene.keypoints
        if keypoints is not None:
            times = [new / old for new, old in zip(reversed(size), reversed(scene.size), strict=True)]
            keypoints = keypoints * keypoints.new_tensor([*times, 1.0])
        drawn = self(replace(scene, camera=camera, size=size, image=image, keypoints=keypoints))
        depth = None if drawn.depth is None else resized(drawn.depth)
        return Rendering(resized(drawn.rgb), resized(drawn.mask), depth,
                         ResizedLayers(drawn.layers, scene.size, resized))

    def render(self, pose: Pose, camera: Camera, size: tuple[int, int]) -> Rendering:
        """Draw a pose from a camera whose pictures have `size` (H, W).

        pose is B poses, camera B cameras. Raises ValueError where there is no body to pose.
        """
        if self.surface is None:
            raise ValueError("This avatar was trained on pairs of pictures: there is no body to pose. Give a "
                             "picture to draw from: avatar.draw(Scene(None, None, size, image=picture)).")
        if self.body is None:
            raise ValueError("This avatar has no body to pose: its capture was not found. "
                             "Set avatar.body, or load the run beside its capture.")
        return self.draw(Scene(self.body(pose), camera, size))
