"""DeepMimic's json."""

import json

import pytest
import torch

from anr_core.motion import read_motion, retarget
from anr_core.motion.deepmimic import JOINTS, WIDTH


def frames(count=3, **joints):
    """Frames with the identity at every joint but those that are given."""
    one = [0.05, 0, 0.85, 0]
    for name, _, size, _ in JOINTS:
        one += list(joints.get(name, [1, 0, 0, 0] if size == 4 else [0]))
    return [list(one) for _ in range(count)]


def written(tmp_path, found):
    file = tmp_path / "motion.txt"
    file.write_text(json.dumps({"Loop": "wrap", "Frames": found}))
    return file


def test_a_frame_has_the_published_width():
    assert WIDTH == 44 and len(frames()[0]) == 44


def test_knees_bend_back_and_elbows_to_the_front(tmp_path, anny):
    motion = read_motion(written(tmp_path, frames(left_knee=[-0.8], right_elbow=[1.0])))
    assert motion.fps == 20
    poses = retarget(motion, anny)
    joints, names = anny(poses).joints[0], anny.skeleton.names

    def bone(start, end):
        return torch.nn.functional.normalize(joints[names.index(end)] - joints[names.index(start)], dim=0)

    # it looks along X; who rests looks along -Y
    assert float(bone("left_knee", "left_ankle") @ torch.tensor([-0.717, 0.0, -0.697])) > 0.95
    assert float(bone("right_elbow", "right_wrist") @ torch.tensor([0.841, 0.0, -0.540])) > 0.99
    left = joints[names.index("left_hip")] - joints[names.index("right_hip")]
    assert float(left[1]) > 0.1


@pytest.mark.parametrize("change, told", [
    (lambda found: [], "holds no frames"),
    (lambda found: [frame[:-1] for frame in found], "43 numbers, expected 44"),
    (lambda found: [[0, *frame[1:]] for frame in found], "frames of 0 s"),
    (lambda found: [[*frame[:-1], float("nan")] for frame in found], "NaN"),
    (lambda found: [[*frame[:-1], "x"] for frame in found], "no numbers"), (lambda found: 7, 'no "Frames"')])
def test_damage_is_one_error(change, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        read_motion(written(tmp_path, change(frames())))


def test_a_real_file_is_a_walk_forwards(real_motion, anny):
    motion = read_motion(real_motion("deepmimic_walk.txt"))
    assert motion.fps == 30 and motion.format == "DeepMimic"
    poses = retarget(motion, anny)
    joints, names = anny(poses).joints, anny.skeleton.names
    left = joints[:, names.index("left_hip")] - joints[:, names.index("right_hip")]
    forward = torch.linalg.cross(left, torch.tensor([0.0, 0.0, 1.0]).expand_as(left), dim=-1).mean(0)
    walked = poses.root_translation[-1] - poses.root_translation[0]
    assert float(torch.nn.functional.cosine_similarity(forward, walked, dim=0)) > 0.95
