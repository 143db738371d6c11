"""What of an avatar becomes an ONNX graph: all that it does between a G-buffer and the picture.

Each class is of one system. Its module is what is traced; it calls the avatar's own code, so that what is
drawn is told in one place. `given` makes what goes in, of a scene: the rasterizer stays outside.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from anr_core.avatars.anr import ANR
from anr_core.avatars.base import Avatar, Scene
from anr_core.avatars.deferred import Deferred
from anr_core.avatars.displacement import displaced
from anr_core.avatars.dynamic_texture import DynamicTexture, sharpened
from anr_core.avatars.gaussian import Gaussian
from anr_core.avatars.inputs import FINER, averaged, nearness
from anr_core.avatars.smplpix import SMPLpix
from anr_core.export.slots import (
    FINE,
    GAIN,
    IUV,
    LATENT,
    NORMALS,
    RGB,
    XYZ,
    Exported,
    Sampling,
    Slot,
    picture,
)
from anr_core.rasterizer import gbuffer


class AnrNetworks(Exported):
    """R1, R2, and what lies before, between and behind them."""

    def __init__(self, avatar: ANR, sampled: bool):
        super().__init__()
        self.avatar = avatar
        names = [*RGB, *(f"learned {channel}" for channel in range(3, avatar.texture.channels)), "seen",
                 "coverage"]
        features = picture(names, "The texture, sampled: colour, learned channels, how well the colour was "
                           "seen, and 1 where the mesh is")
        self.inputs = ({"iuv": IUV} if sampled else {"features": features}) | {
            "normals": NORMALS, "rotation": Slot(("batch", 3, 3), (), "camera_from_world; OpenCV's axes: X "
                                                 "right, Y down, Z forward"), "gain": GAIN}
        levels, sizes = avatar.texture.levels, avatar.texture.sizes
        fine = torch.cat([levels[0], avatar.seen], 1)
        self.sampling = Sampling(list(zip([fine, *levels[1:]], sizes, strict=True))) if sampled else None

    def forward(self, where, normals, rotation, gain):
        if self.sampling is not None:
            where = torch.cat([self.sampling(where), (where[:, :1] > 0).to(where)], 1)
        lit = where[:, :3] * self.avatar.light(normals.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        seen = sum(rotation[:, :, axis, None, None] * normals[:, axis:axis + 1] for axis in range(3))
        return self.avatar.drawn(where, seen, lit, gain[..., None, None])[:2]

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        avatar = self.avatar
        buffer = gbuffer(displaced(scene.posed, avatar.displacement),
                         avatar.projected(scene.camera, scene.posed), scene.size)
        if self.sampling is None:
            covered = torch.ones_like(buffer.depth)[:, None]
            where = {"features": buffer.image(torch.cat([avatar.features(buffer, scene), covered], 1))}
        else:
            where = {"iuv": buffer.iuv()}
        return where | {"normals": buffer.image(buffer.normal), "rotation": scene.camera.R,
                        "gain": avatar.conditions.gain(scene)}


class DeferredNetwork(Exported):
    """The one network, and the spherical harmonics that its features follow."""

    def __init__(self, avatar: Deferred, sampled: bool):
        super().__init__()
        self.avatar = avatar
        names = [*RGB, *(f"learned {channel}" for channel in range(3, avatar.texture.channels))]
        features = picture(names, "The texture, sampled; its channels 3 to 11 are not yet multiplied by what "
                           "follows the view")
        self.inputs = ({"iuv": IUV} if sampled else {"features": features}) | {
            "towards": picture(XYZ, "Unit directions from the surface to the camera, world coordinates")}
        tables = list(zip(avatar.texture.levels, avatar.texture.sizes, strict=True))
        self.sampling = Sampling(tables) if sampled else None

    def forward(self, where, towards):
        if self.sampling is not None:
            where = self.sampling(where)
        return self.avatar.drawn(self.avatar.followed(where.permute(0, 2, 3, 1), towards.permute(0, 2, 3, 1))
                                 .permute(0, 3, 1, 2))

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        avatar = self.avatar
        buffer = gbuffer(scene.posed, avatar.projected(scene.camera, scene.posed), scene.size)
        where = {"iuv": buffer.iuv()} if self.sampling is not None else {
            "features": buffer.image(avatar.texture(buffer.part, buffer.uv))}
        return where | {"towards": buffer.image(buffer.towards)}


class SmplpixNetwork(Exported):
    """The one network; with sampling also what the drawn mesh is coloured with."""

    def __init__(self, avatar: SMPLpix, sampled: bool):
        super().__init__()
        self.avatar, self.sampling, count = avatar, None, avatar.config.input_channels
        if not avatar.has_surface:
            self.inputs = {"image": picture([f"channel {n}" for n in range(count)],
                                            "A pair's input, in [0, 1], as it was trained with")}
            return
        names = [*RGB, "nearness"][:count]
        gain = {"gain": GAIN}
        near = ("nearness",), ("1 at 0.8 m before the middle of the person or nearer, 0.5 at the middle, at "
                               "least 0.05")
        if not sampled:
            self.inputs = {"image": picture([*names, "coverage"], (
                "The mesh, drawn at twice the size and averaged: straight colour, sRGB-encoded"
                + (f"; nearness, {near[1]}" * (count > 3)) + "; how much of the pixel is mesh"))} | gain
            return
        self.inputs = {"iuv": picture(IUV.channels, f"{IUV.told}; at twice the picture's size", FINE),
                       "normals": picture(XYZ, f"{NORMALS.told}; at twice the picture's size", FINE)}
        if count > 3:
            self.inputs["nearness"] = picture(*near, FINE)
        self.inputs |= gain
        self.sampling = Sampling([(avatar.texels, avatar.size)])

    def forward(self, image, *rest):
        if not self.avatar.has_surface:
            return self.avatar.drawn(image, None)[:2]
        *drawn, gain = rest
        if self.sampling is not None:
            normals, *near = drawn
            light = self.avatar.light(normals.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            colours = (self.sampling(image) * light).clamp(max=1)
            image = averaged(torch.cat([colours, *near, (image[:, :1] > 0).to(image)], 1))
        return self.avatar.drawn(image, gain[..., None, None])[:2]

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        avatar = self.avatar
        if not avatar.has_surface:
            return {"image": scene.image}
        gain = {"gain": avatar.conditions.gain(scene)}
        if self.sampling is None:
            return {"image": avatar.inputs(scene)[0]} | gain
        posed = displaced(scene.posed, avatar.displacement)
        camera = avatar.projected(scene.camera, scene.posed)
        fine = tuple(FINER * side for side in scene.size)
        buffer = gbuffer(posed, replace(camera, size=scene.size).resize(fine), fine)
        middle = camera.project(posed.vertices.mean(1, keepdim=True))[1][:, 0]
        near = {"nearness": buffer.image(nearness(buffer.depth, middle[buffer.picture]))}
        return {"iuv": buffer.iuv(), "normals": buffer.image(buffer.normal)} | \
            ({} if avatar.config.input_channels == 3 else near) | gain


class GaussianDecoder(Exported):
    """The decoder, under the avatar's own looks: the latent picture of the primitives becomes the person."""

    def __init__(self, avatar: Gaussian, sampled: bool):
        super().__init__()
        self.avatar, features = avatar, avatar.config.features
        self.register_buffer("looks", avatar.looks(None).clone())
        self.inputs = {"latent": picture([f"feature {n}" for n in range(features)], (
            "What rays see of the primitives in the avatar's own looks, over 0; sides are the picture's "
            f"divided by {2**avatar.config.outer}, rounded up, and what comes out is cut to it"), LATENT)}

    def forward(self, latent):
        return self.avatar.decoded(latent, self.looks)

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        joints = self.avatar.joints(scene)
        return {"latent": self.avatar.latent(scene, joints, self.looks.expand(len(joints), -1, -1))}


class DynamicNetwork(Exported):
    """What adds to the sampled colours and to the mask; the generator says before it where to sample."""

    def __init__(self, avatar: DynamicTexture, sampled: bool):
        super().__init__()
        self.avatar, features = avatar, avatar.config.features
        self.inputs = {
            "features": picture([*RGB, *(f"learned {3 + n}" for n in range(features))], "The parts' charts, "
                                "sampled where the generator, or a drawn body, says, straight"),
            "coverage": picture(("coverage",), "1 where anything was sampled, else 0"),
            "logit": picture(("logit",), "Of seeing any part"),
            "guided": Slot(("batch", 1), ("guided",), "1 where a drawn body says where its parts are, 0 "
                           "where the generator does")}

    def forward(self, features, coverage, logit, guided):
        colour, added, logit = self.avatar.enlivened(features, coverage, logit,
                                                     guided[..., None, None].expand_as(logit))
        return (colour + added).clamp(0, 1), sharpened(logit)

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        buffer, _, _, seen = self.avatar.look(scene)
        features, coverage = seen.sampled(self.avatar.texture)
        guided = features.new_full((len(features), 1), float(buffer is not None))
        return {"features": features, "coverage": coverage, "logit": seen.logit, "guided": guided}


SYSTEMS = {"anr": AnrNetworks, "deferred": DeferredNetwork, "smplpix": SmplpixNetwork,
           "gaussian": GaussianDecoder, "dynamic-texture": DynamicNetwork}


@torch.no_grad()
def exported(avatar: Avatar, sampled: bool = False) -> Exported:
    """What of an avatar is exported, with the sampling of its texture or without."""
    return SYSTEMS[avatar.config.system](avatar, sampled).eval()
