"""Meshes between registered ones."""

import numpy as np

from anr_core.capture.between import meshes_between


def place(frame):
    """A vertex on a parabola (x), a straight line (y), at rest (z)."""
    frame = np.asarray(frame, np.float64)
    return np.stack([0.01 * (frame - 5) ** 2, 0.3 * frame, np.full_like(frame, 2.0)], -1)[:, None]


def test_registered_frames_keep_their_meshes():
    frames = np.array([0, 4, 8, 20])
    vertices = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(meshes_between(frames, vertices, frames), vertices)
    among_others = meshes_between(frames, vertices, np.array([3, 4, 8]))
    np.testing.assert_allclose(among_others[1:], vertices[1:3], rtol=1e-6)


def test_a_single_registered_frame_is_enough_for_itself():
    np.testing.assert_array_equal(meshes_between(np.array([7]), place([7]), np.array([7])), place([7]))


def test_a_parabola_is_followed_exactly_also_with_uneven_gaps():
    frames, wanted = np.array([0, 4, 8, 12, 20]), np.arange(21)
    np.testing.assert_allclose(meshes_between(frames, place(frames), wanted), place(wanted), atol=1e-6)


def test_between_two_frames_it_is_a_straight_line():
    frames = np.array([3, 5])
    np.testing.assert_allclose(meshes_between(frames, place(frames), np.array([4]))[0], place(frames).mean(0))


def test_a_swing_is_followed_closer_than_by_straight_lines():
    frames, wanted = np.arange(0, 73, 8), np.arange(73)

    def swing(frame):
        return np.sin(np.asarray(frame)[:, None, None] / 60 * 2 * np.pi) * np.ones((1, 1, 3))

    curved = np.abs(meshes_between(frames, swing(frames), wanted) - swing(wanted))[8:65].max()
    straight = np.abs(np.interp(wanted, frames, swing(frames)[:, 0, 0]) - swing(wanted)[:, 0, 0])[8:65].max()
    assert curved < straight / 4
