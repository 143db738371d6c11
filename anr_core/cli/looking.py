"""Commands that look at the renderer of Gaussians and at this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anr_core.cli.options import optional


@dataclass(frozen=True)
class Shapes:
    """Look at the Gaussian renderer: spheres, ellipsoids and people, side by side."""

    # picture to write, in .png or .jpg; in .mp4 it becomes a turn around them
    out: Annotated[Positional[Path], arg(metavar="OUT.png")]
    # all, or one of: one-sphere, one-ellipsoid, two-that-overlap, many-spheres, many-ellipsoids, people
    which: Annotated[str, arg(metavar="NAME")] = "all"
    # side of each picture, pixels
    size: Annotated[int, arg(metavar="S")] = 384
    # how many are many
    count: Annotated[int, arg(metavar="N")] = 100

    def __call__(self) -> None:
        from anr_core.export.shapes import write_shapes

        write_shapes(self.out, self.which, self.size, self.count)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Bench:
    """Time the parts and the whole, on this machine's CPU and GPU."""

    # file for the figures
    json: Annotated[Path | None, optional("FILE")] = None
    # time slow peers and plain implementations too
    all: bool = False
    # how often each is run
    repeats: Annotated[int, arg(metavar="N")] = 100
    # "cpu" or "cuda"; both where there is a GPU if not given
    device: Annotated[str | None, optional("NAME")] = None
    # tell too how time grows with resolution, faces, batch and people
    growth: bool = False

    def __call__(self) -> None:
        from anr_core.bench import bench

        bench(self.json, self.all, self.repeats, self.device, self.growth)
