"""Limbs point where the source's point, whatever it rests like, and joints bend as people's do."""

from dataclasses import replace

import pytest
import torch

from anr_core.body.anny import AnnyBody, Shape
from anr_core.motion import read_motion, retarget
from tests.motion.made_up import PlainBody, figure, posed_at_rest, walk, with_own_frames
from tests.motion.measures import BONES, played, turned_apart


def turned(*vector):
    return torch.tensor(vector, dtype=torch.float32)


ARMS_AT_REST = {"a-pose": 0.8, "arms down": 1.5, "arms up": -0.5}


@pytest.fixture(scope="module")
def walking():
    return walk(1.0)


@pytest.fixture(scope="module")
def on_anny(walking, anny):
    return played(walking, anny)


@pytest.mark.parametrize("bone, degrees", [("upper arm", 0.1), ("forearm", 0.1), ("thigh", 3), ("shin", 3)])
def test_limbs_point_where_the_sources_point(bone, degrees, on_anny):
    assert float(on_anny.apart(bone).max()) < degrees


@pytest.mark.parametrize("rest", ARMS_AT_REST)
def test_how_the_arms_rest_changes_no_pose(rest, walking, on_anny, anny):
    angle = ARMS_AT_REST[rest]
    other = posed_at_rest(walking, {"LeftArm": turned(0, 0, -angle), "RightArm": turned(0, 0, angle)})
    assert turned_apart(retarget(other, anny), on_anny.poses) < 2


def test_elbows_and_knees_that_rest_bent_change_no_pose(walking, on_anny, anny):
    other = posed_at_rest(walking, {"LeftForeArm": turned(0, -0.6, 0), "RightForeArm": turned(0, 0.6, 0),
                                    "LeftLeg": turned(0.3, 0, 0)})
    assert turned_apart(retarget(other, anny), on_anny.poses) < 3


def test_the_left_arm_is_the_left_one(walking, anny):
    joints, names = anny(retarget(walking, anny)).joints, anny.skeleton.names
    bends = {}
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[:, names.index(f"{side}_{joint}")]
                                  for joint in ("shoulder", "elbow", "wrist"))
        bends[side] = torch.nn.functional.cosine_similarity(elbow - shoulder, wrist - elbow, dim=1).acos()
    assert torch.allclose(bends["left"], torch.tensor(0.9), atol=0.01)  # as the walk was made
    assert float(bends["right"].max()) < 0.01
    across = joints[:, names.index("left_hip")] - joints[:, names.index("right_hip")]
    assert float(across[:, 0].min()) > 0  # who looks along -Y has the left at +X


def test_a_straight_arm_of_the_source_is_straight_though_annys_rests_bent(on_anny):
    upper, fore = (on_anny.joint(f"right_{end}") - on_anny.joint(f"right_{start}") for start, end in (
        ("shoulder", "elbow"), ("elbow", "wrist")))
    assert float(torch.nn.functional.cosine_similarity(upper, fore, dim=1).min()) > 0.9999


@pytest.mark.parametrize("angle", [-0.6, 0.5])
def test_what_turns_an_upper_arm_about_itself_turns_annys(angle, anny):
    """Seen by where the bent forearm points, and, while the arm is straight, by the hand."""
    still = torch.tensor([[0.0, 0.95, 0.0]]).expand(3, 3)
    about = turned(angle, 0, 0).expand(3, 3)
    for bend in (0.0, 1.2):
        elbow = {"LeftForeArm": turned(0, -bend, 0).expand(3, 3)}
        found = played(figure({"LeftArm": about} | elbow, still), anny)
        plain = played(figure(elbow, still), anny)
        palms = []
        for one in (found, plain):
            wrist, index, pinky = (one.joint(f"left_{name}")[0] for name in ("wrist", "index1", "pinky1"))
            palms.append(torch.nn.functional.normalize(
                torch.linalg.cross(index - wrist, pinky - wrist, dim=-1), dim=0))
        matrix = torch.linalg.matrix_exp(angle * torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])).double()
        assert float((matrix @ palms[1]) @ palms[0]) > 0.99


def test_without_a_rest_pose_bends_tell_how_a_straight_arm_is_turned_about_itself(anny):
    bend = torch.cat([torch.zeros(10), torch.linspace(0, 1.2, 20)])[:, None] * turned(0, -1, 0)
    arm = figure({"LeftArm": turned(0.6, 0, 0).expand(30, 3), "LeftForeArm": bend},
                 torch.tensor([0.0, 0.95, 0.0]).expand(30, 3))
    shoulder = anny.skeleton.names.index("left_shoulder") - 1
    one, other = (retarget(motion, anny).rotations[:10, shoulder] for motion in (arm, with_own_frames(arm)))
    assert float((one - other).norm(dim=1).max()) < 0.05


def test_the_spine_shares_the_bend_of_fewer_joints(anny):
    """Two joints of the source that bend by 0.5 in all become five that bend alike."""
    bend = turned(0.3, 0, 0).expand(2, 3)
    poses = retarget(figure({"Spine": bend, "Spine1": turned(0.2, 0, 0).expand(2, 3)},
                            torch.tensor([[0.0, 0.95, 0.0]]).expand(2, 3)), anny)
    for name in ("sacrum", "lumbar", "spine1", "spine2", "spine3"):
        found = poses.rotations[0, anny.skeleton.names.index(name) - 1]
        assert torch.allclose(found, torch.tensor([0.1, 0.0, 0.0]), atol=1e-4)


def test_a_head_that_turns_left_turns_left(anny):
    poses = retarget(figure({"Head": turned(0, 0.6, 0).expand(2, 3)},
                            torch.tensor([[0.0, 0.95, 0.0]]).expand(2, 3)), anny)
    joints, names = anny(poses).joints[0], anny.skeleton.names
    eyes = joints[names.index("left_eyeball")] + joints[names.index("right_eyeball")]
    look = eyes / 2 - joints[names.index("head")]
    assert float(torch.atan2(look[0], -look[1])) == pytest.approx(0.6, abs=0.02)


def test_fingers_curl_with_the_sources(anny):
    """A finger of the made-up hand, which points along X with its palm down, bends about -Z."""
    hand = figure({}, torch.tensor([[0.0, 0.95, 0.0]]).expand(2, 3))
    wrist = hand.names.index("LeftHand")
    names = (*hand.names, "LeftHandIndex1", "LeftHandIndex2")
    offsets = torch.cat([hand.rest, torch.tensor([[0.09, 0.0, 0.02], [0.04, 0.0, 0.0]])])
    curls = torch.tensor([0.0, 0.0, -0.8]).expand(2, 2, 3)
    curled = replace(hand, names=names, parents=(*hand.parents, wrist, len(hand.names)), rest=offsets,
                     rotations=torch.cat([hand.rotations, curls], 1),
                     steps=torch.cat([hand.steps, offsets[-2:].expand(2, 2, 3)], 1))
    straight = replace(curled, rotations=torch.cat([hand.rotations, 0 * curls], 1))
    found, rests = played(curled, anny), played(straight, anny)
    for one, other in ((found, 1.6), (rests, 0.0)):
        total = sum(float(one.poses.rotations[0, anny.skeleton.names.index(f"left_index{joint}") - 1].norm())
                    for joint in (1, 2))
        assert total == pytest.approx(other, abs=0.01)
    assert float(found.joint("left_index3")[0, 2]) < float(rests.joint("left_index3")[0, 2]) - 0.02


@pytest.mark.parametrize("body", [PlainBody(), PlainBody(0.7), AnnyBody(Shape(age=0.3, height=0.2))],
                         ids=["smpl", "small smpl", "child"])
def test_other_bodies_move_alike(body, walking):
    found = played(walking, body)
    for bone in BONES:
        assert float(found.apart(bone).max()) < 9  # a child's shins are shorter
    assert float(found.lowest.min()) > -0.01 and float(found.lowest.max()) < 0.02


def test_a_body_of_meshes_is_refused_in_one_line(small_capture, walking):
    with pytest.raises(ValueError, match="can't be posed anew. Fit one that can"):
        retarget(walking, small_capture.body)


# the real ones


@pytest.mark.parametrize("name", ["xia_neutral_01_000.bvh", "deepmimic_walk.txt"])
def test_a_real_walk_stays_within_human_limits(name, real_played, anny):
    found = real_played(name)
    for joint in anny.skeleton.names[1:]:
        assert found.beyond(joint) < 0.01, joint


@pytest.mark.parametrize("name, legs", [("xia_neutral_01_000.bvh", 3), ("deepmimic_walk.txt", 2),
                                        ("dab.bvh", 3), ("jumping_jacks.bvh", 2), ("wave_hello.bvh", 7)])
def test_limbs_of_real_motions_point_where_the_sources_point(name, legs, real_played):
    found = real_played(name)
    for bone in ("upper arm", "forearm"):
        assert float(found.apart(bone).max()) < 0.1
    for bone in ("thigh", "shin"):
        assert float(found.apart(bone).mean()) < legs
    assert float(found.joint("head")[:, 2].min()) > float(found.joint("left_hip")[:, 2].min())


def test_a_real_walk_survives_joints_with_frames_of_their_own(real_motion, real_played, anny):
    motion = read_motion(real_motion("xia_neutral_01_000.bvh"))
    plain, lined_up = real_played("xia_neutral_01_000.bvh"), played(with_own_frames(motion), anny)
    for name in ("head", "left_elbow", "right_wrist", "left_knee", "right_ankle"):
        # who leans forward all the time is taken to be upright
        assert float((plain.joint(name) - lined_up.joint(name)).norm(dim=1).max()) < 0.12
