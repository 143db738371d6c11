"""A person as a volume: codes on a body's vertices, diffused through space, decoded along rays.

    vertices, codes -> one voxel for each place in the body's frame         voxels.py, frame.py
    voxels -> four coarser grids, each filled around the body               diffusion.py, convolution.py
    a point's features, out of all four -> density and colour               space.py, sampling.py, field.py
    rays through the body's box -> samples near the body -> a pixel each    box.py, tracing.py, marching.py
    density on a lattice -> a surface                                       isosurface.py

Grids are kept as lists of their occupied cells, so that time and memory grow with the body's surface and not
with its box. Source: Peng et al., Neural Body, CVPR 2021 (arXiv 2012.15838).

`B` counts items of a batch, `N` cells or vertices, `P` points, `M` rays, `S` samples along a ray.
"""

from anr_core.volume.box import crossing, hits_box
from anr_core.volume.diffusion import Diffusion, Level
from anr_core.volume.field import Field
from anr_core.volume.frame import body_points, rigid_frame, rigid_weights
from anr_core.volume.isosurface import isosurface
from anr_core.volume.marching import Integral, integrate, march, shares
from anr_core.volume.sampling import Nearby, sample
from anr_core.volume.space import Space
from anr_core.volume.tracing import Tracer
from anr_core.volume.voxels import MARGIN, Voxels, largest_grid, voxelise

__all__ = ["MARGIN", "Diffusion", "Field", "Integral", "Level", "Nearby", "Space", "Tracer", "Voxels",
           "body_points", "crossing", "hits_box", "integrate", "isosurface", "largest_grid", "march",
           "rigid_frame", "rigid_weights", "sample", "shares", "voxelise"]
