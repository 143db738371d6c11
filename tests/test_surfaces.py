"""How far surfaces are from each other, and which of them are seen."""

import numpy as np
import pytest
import trimesh

from anr_core.evaluation.surfaces import nearness, outer_samples


def ball(radius, at=(0.0, 0, 0)):
    made = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    made.apply_translation(at)
    return np.asarray(made.vertices), np.asarray(made.faces)


def joined(*meshes):
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    return (np.concatenate([vertices for vertices, _ in meshes]),
            np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)]))


def test_balls_of_two_sizes_are_as_far_apart_as_their_radii():
    near = nearness(*(outer_samples(*ball(radius), 20_000) for radius in (0.3, 0.32)))
    assert near.chamfer == pytest.approx(20, abs=0.5)
    assert near.to == pytest.approx(20, abs=0.5) and near.back == pytest.approx(20, abs=0.5)
    assert near.normals > 0.995


def test_what_is_missing_shows_in_one_direction_alone():
    whole = joined(ball(0.3), ball(0.1, (1, 0, 0)))
    near = nearness(outer_samples(*ball(0.3), 20_000), outer_samples(*whole, 20_000))
    assert near.to < 4  # between points of one surface
    # the small ball is a tenth of the area, and 0.7 m away
    assert near.back == pytest.approx(1000 * 0.1 * 0.71, rel=0.1)
    assert near.chamfer == pytest.approx((near.to + near.back) / 2)


def test_a_shell_inside_another_is_not_looked_at():
    seen = outer_samples(*joined(ball(0.3), ball(0.25)), 20_000)
    assert np.linalg.norm(seen.points, axis=1).min() > 0.29
    assert len(seen.points) == 20_000


@pytest.mark.slow
def test_points_are_spread_evenly_and_the_same_for_a_seed():
    vertices, faces = ball(0.3)
    one, again, other = (outer_samples(vertices, faces, 20_000, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.points, again.points) and not np.array_equal(one.points, other.points)
    assert np.abs(one.points.mean(0)).max() < 0.01
    outward = one.points / np.linalg.norm(one.points, axis=1, keepdims=True)
    assert (outward * one.normals).sum(1).min() > 0.99


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="no area"):
        outer_samples(np.zeros((3, 3)), np.array([[0, 1, 2]]))
