"""Batches of consecutive frames: who is paired with whom, through which window, with what flow."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from anr_core.avatars import Config
from anr_core.avatars.deferred import Deferred
from anr_core.body import Surface, TrackedBody
from anr_core.camera import Camera, pixel_centres
from anr_core.capture import Capture, Shot
from anr_core.capture.flow import warped
from anr_core.capture.pictures import write_image, write_mask
from anr_core.training import consecutive, train, windows
from anr_core.training.consecutive import Consecutive, neighbours

CONFIG = Config(size=96, window=80, batch=4, seed=3)


def shots(**frames):
    return [Shot(camera, frame, f"{camera}/{frame}.png", None) for camera, numbers in frames.items()
            for frame in numbers]


@pytest.fixture(scope="module")
def stroll(tmp_path_factory):
    """Read only: a quad of 24 pixels in soft waves that goes 4 to the right and 1 down each frame."""
    folder, size, frames = tmp_path_factory.mktemp("stroll"), (100, 200), 4
    rows, columns = (np.arange(count) for count in size)
    quad = torch.tensor([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
    surface = Surface(torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
                      torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([1, 1]))

    def waves(x, y):
        shades = [np.sin(x / 3 + y / 6) + np.cos(y / 3 - x / 8), np.sin(x / 4 - y / 5), np.cos(x / 5 + y / 4)]
        return np.stack([128 + 55 * shade for shade in np.broadcast_arrays(*shades)], -1).astype(np.uint8)

    for frame in range(frames):
        right, down = 4 * frame, frame
        picture, mask = waves(columns / 3, rows[:, None] / 3), np.zeros(size, np.uint8)
        there = slice(38 + down, 62 + down), slice(48 + right, 72 + right)
        picture[there] = waves(columns - right, rows[:, None] - down)[there]
        mask[there] = 255
        write_image(folder / f"{frame}.png", picture)
        write_mask(folder / f"{frame}-mask.png", mask)
    K = torch.tensor([[[48.0, 0, 60], [0, 48, 50], [0, 0, 1]]])
    camera = Camera(K, torch.eye(3)[None], torch.tensor([[0.0, 0.0, 2.0]]), size=size)
    places = quad + torch.arange(frames)[:, None, None] * torch.tensor([4.0, 1.0, 0.0]) / 24
    taken = [Shot("a", frame, f"{frame}.png", f"{frame}-mask.png") for frame in range(frames)]
    return Capture(folder, {"a": camera}, taken, TrackedBody(torch.arange(frames), places, surface), "test",
                   "none", 30.0, torch.tensor([0.0, -1.0, 0.0]), "nobody", {})


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


def test_of_a_person_who_goes_through_the_picture_each_frame_is_where_its_camera_says(stroll):
    views = stroll.views(crop="loose")
    assert len({views.box(row) for row in range(4)}) == 4
    for batch in (batches(stroll)[step] for step in range(8)):
        middles = batch.camera.project(stroll.body(batch.pose).vertices)[0].mean(1)
        for mask, middle in zip(batch.mask[:, 0], middles, strict=True):
            seen = pixel_centres(mask.shape)[0][mask.flatten() > 0.5].mean(0)
            if mask[[0, -1]].max() == mask[:, [0, -1]].max() == 0:  # seen as a whole
                torch.testing.assert_close(seen, middle, atol=0.5, rtol=0)


def test_a_window_holds_both_bodies(stroll, monkeypatch):
    monkeypatch.setattr(windows, "SCALES", 1.0)
    monkeypatch.setattr(windows, "ROLL", 0.0)
    for batch in (batches(stroll, replace(CONFIG, window=96))[step] for step in range(4)):
        corners = batch.camera.project(stroll.body(batch.pose).vertices)[0]
        assert (corners > 4).all() and (corners < 92).all() and (batch.mask.flatten(1).mean(1) > 0.35).all()


def test_the_flow_of_a_person_who_goes_through_the_picture_lies_on_the_person(stroll):
    found = []
    for batch in (batches(stroll)[step] for step in range(8)):
        corners = batch.camera.project(stroll.body(batch.pose).vertices)[0]
        inner = functional.avg_pool2d(batch.mask[2:], 9, 1, 4) > 0.999
        for row, (moved, flow) in enumerate(zip((corners[:2] - corners[2:]).mean(1), batch.flow[2:],
                                                strict=True)):
            there = inner[row, 0] & (flow[2] > 0)
            found.append(((flow[:2, there] - moved[:, None]).norm(dim=0) < 1.0).float().mean())
            assert there.float().sum() > 0.7 * inner[row].sum()
    assert np.mean(found) > 0.95


def test_flow_is_asked_for_where_both_loose_crops_are_and_laid_where_the_later_one_is(stroll, monkeypatch):
    class Places:
        def back(self, earlier, later, box):
            left, top, right, bottom = box
            columns, rows = torch.arange(left, right), torch.arange(top, bottom)
            shape = len(rows), len(columns)
            return torch.stack([columns.expand(shape), rows[:, None].expand(shape), torch.ones(shape)])[None]

    laid = []
    monkeypatch.setattr(consecutive, "resample", lambda view, *window: laid.append(view) or view)
    seen = batches(stroll)
    seen.flows = [Places()]
    seen.drawn(0, 2, np.random.default_rng(0))
    (left, top, _, _), (_, _, right, bottom) = seen.people[0].box(2), seen.people[0].box(1)
    flow, height, width = laid[1].flow[0], bottom - top, right - left
    assert (flow[2, :height, :width] == 1).all() and flow[2].sum() == height * width < flow[2].numel()
    assert flow[0, 0, :width].tolist() == [*range(left, right)]
    assert flow[1, :height, 0].tolist() == [*range(top, bottom)]


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
