"""A motion cut, at another rate, smoothed, looped."""

from dataclasses import replace

import pytest
import roma
import torch

from anr_core.motion import retarget
from anr_core.motion.timing import at_rate, blurred, looped, smoothed, trimmed, without_reference
from tests.motion.made_up import figure, walk

UP = torch.tensor([0.0, 1.0, 0.0])


def nodding(frames=31, fps=30.0):
    """The head turns evenly by 1.5 radians a second."""
    turn = torch.arange(frames)[:, None] / fps * torch.tensor([1.5, 0.0, 0.0])
    return figure({"Head": turn}, torch.tensor([0.0, 0.95, 0.0]).expand(frames, 3), fps)


def test_a_part_begins_and_ends_at_its_seconds():
    part = trimmed(nodding(), 0.2, 0.5)
    assert len(part) == 10
    assert float(part.rotations[0, 4, 0]) == pytest.approx(0.3)
    assert len(trimmed(nodding(), None, None)) == 31


@pytest.mark.parametrize("start, end", [(2, None), (-1, None), (0.5, 0.2), (None, -1)])
def test_a_part_that_is_not_there_is_refused(start, end):
    with pytest.raises(ValueError, match="There is nothing from"):
        trimmed(nodding(), start, end)


def test_a_reference_pose_before_the_motion_is_not_played(anny):
    motion = walk(1.0)
    led = replace(motion, rotations=torch.cat([0 * motion.rotations[:1], motion.rotations]),
                  steps=torch.cat([motion.rest[None], motion.steps]))
    plain, found = retarget(motion, anny), retarget(led, anny)
    assert len(found) == len(plain) + 1
    assert torch.allclose(found.rotations[0], found.rotations[1], atol=1e-3)
    assert torch.allclose(found.rotations[5:], plain.rotations[4:], atol=0.02)


def test_a_motion_that_begins_at_rest_is_played_from_there():
    assert without_reference(nodding()).rotations[0].abs().max() == 0


@pytest.mark.parametrize("fps", [24, 25, 60, 120, 7])
def test_at_any_rate_joints_turn_evenly_and_the_length_stays(fps):
    motion = at_rate(nodding(), fps)
    assert motion.fps == fps and motion.seconds == pytest.approx(1.0, abs=1 / fps)
    expected = torch.arange(len(motion)) / fps * 1.5
    assert torch.allclose(motion.rotations[:, 4, 0], expected, atol=1e-5)


def test_between_two_frames_a_joint_turns_the_shorter_way():
    motion = nodding(2)
    motion.rotations[0, 4], motion.rotations[1, 4] = torch.tensor([3.0, 0, 0]), torch.tensor([-3.0, 0, 0])
    halfway = at_rate(motion, 60).rotations[1, 4]
    assert float(roma.rotvec_to_rotmat(halfway)[1, 1]) == pytest.approx(-1, abs=1e-4)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 frames a second"):
        at_rate(nodding(), 0)


def test_smoothing_calms_what_shakes_and_leaves_what_turns_evenly():
    motion = nodding()
    even = smoothed(motion, 0.1)
    assert torch.allclose(even.rotations, motion.rotations, atol=0.02)
    shaking = motion.rotations.clone()
    shaking[::2, 4, 1] += 0.1
    calmed = smoothed(figure({"Head": shaking[:, 4]}, motion.steps[:, 0]), 0.1)
    assert float(calmed.rotations[5:-5, 4, 1].diff().abs().max()) < 0.01


def test_blurring_leaves_a_straight_line_alone_up_to_its_ends():
    line = torch.arange(20.0)[:, None] * torch.tensor([1.0, -2.0])
    assert torch.allclose(blurred(line, 3.0), line, atol=1e-4)


def test_a_loop_ends_where_it_begins_without_a_jump(anny):
    wave = torch.sin(torch.arange(50) / 30 * 6)[:, None] * torch.tensor([0.0, 0.0, 0.8])
    motion = figure({"LeftArm": wave}, torch.tensor([0.0, 0.95, 0.0]).expand(50, 3))
    places = anny(retarget(motion, anny, loop=1)).joints
    steps = places.diff(dim=0).norm(dim=-1).amax(1)
    assert float((places[-1] - places[0]).norm(dim=-1).max()) < 1.5 * float(steps.max())


def test_every_round_of_a_walk_goes_on_from_where_the_last_one_ended(anny):
    motion = walk(2.3)
    once, thrice = retarget(motion, anny), retarget(motion, anny, loop=3)
    assert len(thrice) > 2.3 * len(once)
    root = thrice.root_translation
    speed = float(once.root_translation[-1, 1] - once.root_translation[0, 1]) / (len(once) - 1)
    assert float(root[-1, 1]) == pytest.approx(speed * (len(thrice) - 1), abs=0.1)
    assert float(root.diff(dim=0).norm(dim=1).max()) < 0.05
    joints = anny(thrice).joints
    alone = anny(once).joints
    assert float(joints.diff(dim=0).norm(dim=-1).max()) < 1.2 * float(alone.diff(dim=0).norm(dim=-1).max())


def test_a_motion_that_is_looped_is_not_changed_itself():
    motion = walk(2.0)
    before = motion.steps.clone()
    looped(motion, 2, 1.7, UP)
    assert torch.equal(motion.steps, before)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_motions_can_be_treated_alike(frames, anny):
    poses = retarget(nodding(frames), anny, fps=60, smooth=0.1, loop=2)
    assert len(poses) >= frames and bool(poses.rotations.isfinite().all())


def test_frames_count_from_zero(anny):
    assert retarget(nodding(5), anny).frame.tolist() == [0, 1, 2, 3, 4]
