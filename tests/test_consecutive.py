"""Batches of consecutive frames: who is paired with whom, through which window, with what flow."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.avatars import Config
from anr_core.avatars.deferred import Deferred
from anr_core.capture import Shot
from anr_core.capture.flow import warped
from anr_core.training import train
from anr_core.training.consecutive import Consecutive, neighbours

CONFIG = Config(size=96, window=80, batch=4, seed=3)


def shots(**frames):
    return [Shot(camera, frame, f"{camera}/{frame}.png", None) for camera, numbers in frames.items()
            for frame in numbers]


def batches(capture, config=CONFIG, count=50):
    return Consecutive([capture.views(crop="loose")], config, range(count))


# who is paired


def test_a_frame_comes_with_the_one_before_it_and_the_first_with_the_next():
    assert neighbours(shots(a=[0, 1, 2], b=[0, 1]), 30) == [(0, 1), (0, 1), (1, 2), (3, 4), (3, 4)]


def test_shots_come_in_any_order():
    assert neighbours(shots(a=[2, 0, 1]), 30) == [(2, 0), (1, 2), (1, 2)]


def test_frames_too_far_apart_are_no_neighbours():
    assert neighbours(shots(a=[0, 6, 20, 40]), 30) == [(0, 1), (0, 1), (2, 2), (3, 3)]


def test_of_a_slow_camera_the_next_frame_is_a_neighbour_all_the_same():
    assert neighbours(shots(a=[0, 1, 3]), 2) == [(0, 1), (0, 1), (2, 2)]


def test_a_lone_shot_is_paired_with_itself():
    assert neighbours(shots(a=[5], b=[7], c=[1, 2]), 30) == [(0, 0), (1, 1), (2, 3), (2, 3)]


# what a batch holds


def test_a_batch_holds_the_frames_before_and_then_those_after_of_the_same_cameras(small_capture):
    for batch in (batches(small_capture)[step] for step in range(4)):
        assert len(batch) == 4 and batch.size == (80, 80) and batch.flow.shape == (4, 3, 80, 80)
        assert batch.camera_name[:2] == batch.camera_name[2:]
        assert (batch.frame[2:] - batch.frame[:2] == 1).all()
        assert torch.equal(batch.pose.frame, batch.frame)
        torch.testing.assert_close(batch.time * 15, batch.frame.float())
        torch.testing.assert_close(batch.camera.K[:2], batch.camera.K[2:], atol=1e-3, rtol=0)
        torch.testing.assert_close(batch.camera.R[:2], batch.camera.R[2:])
        torch.testing.assert_close(batch.camera.t[:2], batch.camera.t[2:])
        assert not batch.flow[:2].any()


def test_every_view_has_its_turn_before_any_has_it_again(small_capture):
    count = len(small_capture.shots)
    seen = batches(small_capture, replace(CONFIG, batch=2))
    later = [(batch.camera_name[1], int(batch.frame[1])) for batch in (seen[step] for step in range(count))]
    # the first frames' turn is with the second
    assert {*later} == {(shot.camera, shot.frame) for shot in small_capture.shots if shot.frame}


@pytest.mark.parametrize("window", [48, 80, 96])
def test_the_earlier_frame_moved_along_the_flow_is_the_later_one(small_capture, window):
    errors, still, shares = [], [], []
    seen = batches(small_capture, replace(CONFIG, window=window))
    for batch in (seen[step] for step in range(6)):
        before, after, flow = batch.image[:2], batch.image[2:], batch.flow[2:]
        trusted = (flow[:, 2:] > 0).expand(-1, 3, -1, -1)
        errors.append((warped(before, flow[:, :2]) - after).abs()[trusted].mean())
        still.append((before - after).abs()[trusted].mean())
        shares.append(trusted.float().mean())
    assert np.mean(shares) > 0.4 and np.mean(errors) < 0.6 * np.mean(still) and np.mean(errors) < 0.02


def test_bodies_project_to_where_they_are_seen(small_capture):
    batch = batches(small_capture)[0]
    pixels, _ = batch.camera.project(small_capture.body(batch.pose).vertices)
    for mask, where in zip(batch.mask, pixels, strict=True):
        rows, columns = mask[0].nonzero().float().unbind(1)
        seen = where[((where > 2) & (where < 78)).all(1)]
        low, high = torch.stack([columns, rows], 1).amin(0), torch.stack([columns, rows], 1).amax(0)
        assert ((seen > low - 4) & (seen < high + 5)).float().mean() > 0.98


def test_a_lone_frame_sees_itself_twice_and_no_flow(small_capture):
    alone = small_capture.only(lambda shot: shot.frame == 2)
    batch = batches(alone)[0]
    assert torch.equal(batch.image[:2], batch.image[2:]) and not batch.flow.any()


def test_one_picture_a_step_is_a_pair_all_the_same(small_capture):
    assert len(batches(small_capture, replace(CONFIG, batch=1))[0]) == 2


def test_people_take_turns(small_capture):
    other = replace(small_capture, person="other")
    seen = Consecutive([one.views(crop="loose") for one in (small_capture, other)], CONFIG, range(4))
    assert [set(seen[step].person) == {"other"} for step in range(4)] == [False, True, False, True]


def test_a_step_sees_the_same_bytes_each_time(small_capture):
    first, second = batches(small_capture), batches(small_capture)
    second[7]
    for name in ("image", "mask", "flow", "frame"):
        assert torch.equal(getattr(first[3], name), getattr(second[3], name))


# the loop


class Steady(Deferred):
    """A system that learns from pairs."""

    draws = "consecutive"
    seen = []

    def losses(self, scene, rendering, view, stage):
        trust = view.flow[len(view) // 2:, 2].mean()
        self.seen.append((trust, len(view), torch.equal(scene.frame, view.frame)))
        return super().losses(scene, rendering, view, stage)


def test_a_run_of_pairs_that_was_stopped_goes_on_to_the_same_bytes(small_capture, tmp_path, monkeypatch):
    monkeypatch.setattr("anr_core.avatars.deferred.Deferred", Steady)
    tiny = {"size": 64, "window": 48, "batch": 4, "texture_size": 64, "width": 4}
    settings = dict(system="deferred", steps=6, config=tiny)
    list(train(small_capture, tmp_path / "whole", **settings))
    assert len(Steady.seen) >= 6 and all(count == 4 and alike for _, count, alike in Steady.seen)
    assert np.mean([float(share) for share, *_ in Steady.seen]) > 0.5
    half = train(small_capture, tmp_path / "stopped", **settings)
    for _ in range(3):
        next(half)
    half.close()
    list(train(small_capture, tmp_path / "stopped", **settings))
    weights = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "stopped")]
    assert weights[0] == weights[1]
