"""BVH: what is read is what was written, and damage is named."""

import pytest
import roma
import torch

from anr_core.motion import read_motion
from tests.motion.made_up import NAMES, bvh_text, scaled, walk


@pytest.fixture(scope="module")
def text():
    return bvh_text(walk(1.0))


def written(tmp_path, text):
    file = tmp_path / "motion.bvh"
    file.write_text(text, encoding="utf-8", newline="")
    return file


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YZX"])
def test_joints_are_where_they_were_written_in_any_order_of_angles(order, tmp_path):
    motion = walk(1.0)
    found = read_motion(written(tmp_path, bvh_text(motion, order)))
    assert set(found.names) == set(NAMES) and found.fps == 30
    order = [found.names.index(name) for name in NAMES]
    assert torch.allclose(found.placed()[1][:, order], motion.placed()[1], atol=1e-4)


@pytest.mark.parametrize("change", [
    lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("Frame Time: ", "Frame Time:\t"),
    lambda text: text.replace("rotation", "ROTATION"),
    lambda text: text.replace("JOINT Spine1", "JOINT   Spine1 ")],
    ids=["bom", "crlf", "tab", "capitals", "spaces"])
def test_files_of_other_editors_are_read_alike(change, text, tmp_path):
    expected = read_motion(written(tmp_path, text))
    found = read_motion(written(tmp_path, change(text)))
    assert found.names == expected.names and torch.equal(found.rotations, expected.rotations)


@pytest.mark.parametrize("seconds, fps", [(0.0333333, 30), (0.008342, 120), (0.00833333, 120), (1 / 240, 240),
                                          (0.01, 100), (0.0416667, 24)])
def test_rounded_frame_times_mean_whole_rates(seconds, fps, tmp_path):
    assert read_motion(written(tmp_path, bvh_text(walk(0.2), seconds=seconds))).fps == fps


def test_positions_of_joints_replace_their_offset_or_add_to_it(tmp_path):
    channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
    head = (f"HIERARCHY\nROOT Hips\n{{\nOFFSET 0 0 0\n{channels}\nJOINT Spine\n{{\nOFFSET 0 10 0\n{channels}"
            "\nEnd Site\n{\nOFFSET 0 5 0\n}\n}\n}\nMOTION\nFrames: 2\nFrame Time: 0.1\n")
    whole = read_motion(written(tmp_path, head + "1 2 3 0 0 0 0 10 0 0 0 0\n" * 2))
    added = read_motion(written(tmp_path, head + "1 2 3 0 0 0 0 0.1 0 0 0 0\n" * 2))
    assert whole.placed()[1][0, 1].tolist() == [1, 12, 3]
    assert added.placed()[1][0, 1].tolist() == pytest.approx([1, 12.1, 3])


def test_angles_turn_in_the_order_of_their_channels(tmp_path):
    head = ("HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\n"
            "OFFSET 0 5 0\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.1\n")
    found = read_motion(written(tmp_path, head + "30 40 50\n"))
    about = [roma.rotvec_to_rotmat(torch.deg2rad(torch.tensor(vector)))
             for vector in ([0.0, 0.0, 30.0], [40.0, 0.0, 0.0], [0.0, 50.0, 0.0])]
    turn = roma.rotvec_to_rotmat(found.rotations[0, 0])
    assert torch.allclose(turn, about[0] @ about[1] @ about[2], atol=1e-6)


@pytest.mark.parametrize("damage, told", [
    (lambda text: text[:len(text) * 2 // 3], "it was cut off there"),
    (lambda text: "\n".join(text.splitlines()[:-7]), "31 frames, but holds 24: it was cut off"),
    (lambda text: text[:300], "no MOTION part"),
    (lambda text: text.replace("}\nMOTION", "MOTION"), "not closed"),
    (lambda text: text.replace("Frames: 31", "Frames: 0"), "0 frames"),
    (lambda text: text.replace("0.033333", "0"), "a frame time of 0 s"),
    (lambda text: text.replace("0.033333", "fast"), "'Frame Time: S', which are missing or no numbers"),
    (lambda text: text.rsplit(" ", 1)[0] + " nan\n", "NaN or infinite numbers, first in frame 30"),
    (lambda text: text.rsplit(" ", 1)[0] + " what\n", "no numbers among its frames"),
    (lambda text: text.replace("Xposition", "Wposition"), "unknown channel 'Wposition' in line 5"),
    (lambda text: text.replace("OFFSET", "OFFSET x", 1), "could not convert string to float: 'x' in line 4"),
    (lambda text: text.split("MOTION")[0] * 2 + "MOTION" + text.split("MOTION")[1],
     "several figures: Hips, Hips"),
], ids=range(12))
def test_damage_is_one_error_that_says_what_was_found(damage, told, text, tmp_path):
    file = written(tmp_path, damage(text))
    with pytest.raises(ValueError, match=told) as error:
        read_motion(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


def test_numbers_beyond_all_measure_are_refused(tmp_path):
    file = written(tmp_path, bvh_text(scaled(walk(0.1), 1e12)))
    with pytest.raises(ValueError, match="NaN, infinite or too large"):
        read_motion(file)
