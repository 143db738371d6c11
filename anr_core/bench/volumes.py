"""What a volume costs: codes diffused around Anny's resting pose, by as many occupied voxels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from anr_core.avatars import make_avatar
from anr_core.avatars.neural_body import PRESETS
from anr_core.bench.clocking import clock
from anr_core.bench.made_up import standing, view
from anr_core.body.anny import AnnyBody
from anr_core.volume import MARGIN, Diffusion, Voxels, largest_grid, voxelise

SMPL = 4842  # occupied voxels of 5 mm that SMPL's 6 890 vertices take
SIDES = (0.01, 0.005)  # of Anny's voxels, metres
FRAME = 256  # side of a picture, pixels
LONGEST = 10  # runs that are timed at the most: each takes tenths of a second


def timings(anny: AnnyBody, repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """Stage, size and milliseconds of each run; of a diffusion the size is the number of voxels."""
    repeats = min(repeats, LONGEST)
    base = PRESETS["base"]
    network = Diffusion(base.code, base.width)
    for voxels in occupied(anny):
        codes = torch.randn(len(voxels), base.code, requires_grad=True)
        for stage, work in (("diffusion", forward), ("diffusion_backward", and_back)):
            yield stage, len(voxels), clock(partial(work, network, voxels, codes), repeats, 2)
    avatar, pose = volume_of(anny), standing(anny)
    yield "neural-body", FRAME, clock(partial(avatar.render, pose, view(FRAME), (FRAME, FRAME)), repeats, 2)


def occupied(anny: AnnyBody) -> list[Voxels]:
    """As many voxels as SMPL has, evenly out of Anny's; and Anny's, of 10 and of 5 mm."""
    vertices = anny(anny.rest_pose()).vertices
    low, high = vertices.amin(1) - MARGIN, vertices.amax(1) + MARGIN
    codes = torch.zeros(vertices.shape[1], 1)
    coarse, fine = (voxelise(vertices, codes, low, largest_grid(low, high, side, 1.0), side)[0]
                    for side in SIDES)
    rows = torch.linspace(0, len(fine) - 1, SMPL).long()
    return [Voxels(fine.keys[rows], fine.shape, 1), coarse, fine]


@torch.no_grad()
def forward(network: Diffusion, voxels: Voxels, codes: torch.Tensor) -> None:
    """Diffuse codes without gradients."""
    network(voxels, codes)


def and_back(network: Diffusion, voxels: Voxels, codes: torch.Tensor) -> None:
    """Diffuse codes, and gradients to them and to the network."""
    sum(level.features.sum() for level in network(voxels, codes)).backward()


def volume_of(anny: AnnyBody) -> torch.nn.Module:
    """An untrained avatar of the preset `quick`, as solid as a fog: no ray ends early."""
    avatar = make_avatar(PRESETS["quick"], anny.surface, [("camera", 0)]).eval()
    posed = anny(anny.rest_pose())
    avatar.begin(avatar.stages(PRESETS["quick"])[0], lambda most=None: [(None, posed)])
    avatar.body = anny
    return avatar
