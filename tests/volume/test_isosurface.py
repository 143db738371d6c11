"""A surface out of a density: where it is, which way it looks, what it takes."""

import math

import pytest
import torch
import trimesh

from anr_core.volume import isosurface

LOW, HIGH = torch.tensor([-0.3, -0.2, 0.8]), torch.tensor([0.4, 0.5, 1.5])
MIDDLE, RADIUS, SIDE = torch.tensor([0.05, 0.15, 1.15]), 0.25, 0.02


def ball(points):
    """Falls by 100 a metre each metre outwards; 5 at RADIUS."""
    return (5 + 100 * (RADIUS - (points - MIDDLE).norm(dim=1))).clamp(min=0)


def test_a_ball_is_found_where_it_is_and_looks_outwards():
    vertices, faces = isosurface(ball, LOW, HIGH, SIDE, 5.0, 1.0)
    found = trimesh.Trimesh(vertices, faces, process=False)
    radii = (torch.from_numpy(vertices) - MIDDLE).norm(dim=1)
    assert float((radii - RADIUS).abs().max()) < SIDE / 20  # both density and search are linear
    assert found.is_watertight
    assert found.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.01)  # < 0 inside out


def test_what_reaches_the_box_is_closed_there():
    def everywhere(points):
        return torch.full((len(points),), 9.0)

    vertices, faces = isosurface(everywhere, LOW, HIGH, 0.05, 4.5, 1.0)
    found = trimesh.Trimesh(vertices, faces, process=False)
    assert found.is_watertight
    # half a cell to either side, of a whole number of cells
    assert found.extents.min() > 0.75 - 1e-4 and found.extents.max() < 0.80 + 1e-4


def test_a_threshold_that_nothing_reaches_tells_the_largest_density():
    with pytest.raises(ValueError, match=r"denser than 40 a metre; .* has 2\d\.\d\. .*lower"):
        isosurface(ball, LOW, HIGH, SIDE, 40.0, 1.0)


def test_a_lattice_that_takes_too_much_memory_is_refused_with_the_size_that_fits():
    def never(points):
        raise AssertionError("nothing is computed")

    with pytest.raises(ValueError, match=r"0\.1 mm over 0\.70 x 0\.70 x .* 0\.01 may be used") as told:
        isosurface(never, LOW, HIGH, 1e-4, 5.0, 0.01)
    fits = float(str(told.value).split()[-4]) / 1000
    assert len(isosurface(ball, LOW, HIGH, fits, 5.0, 0.01)[0])


@pytest.mark.parametrize(("side", "threshold"), [(0.0, 5.0), (0.02, 0.0), (0.02, -1.0)])
def test_sizes_and_thresholds_of_nothing_are_refused(side, threshold):
    with pytest.raises(ValueError, match="above 0"):
        isosurface(ball, LOW, HIGH, side, threshold, 1.0)
