import pytest

from anr_core.skeleton import (
    ANNY,
    BODY25,
    BODY25B,
    COCO17,
    COCO23,
    FLAME,
    MANO,
    SMPL,
    SMPLH,
    SMPLX,
    anny_limits,
    shared_joints,
)

ALL = {"smpl": (SMPL, 24), "smplh": (SMPLH, 52), "smplx": (SMPLX, 55), "flame": (FLAME, 5),
       "mano": (MANO, 16), "body25": (BODY25, 25), "coco17": (COCO17, 17), "coco23": (COCO23, 23),
       "body25b": (BODY25B, 25),
       "anny": (ANNY, 104)}


@pytest.mark.parametrize("name", ALL)
def test_a_skeleton_has_its_published_count_of_distinct_joints(name):
    skeleton, count = ALL[name]
    assert len(skeleton) == len(set(skeleton.names)) == count


@pytest.mark.parametrize("name", ALL)
def test_mirroring_twice_is_the_identity_and_keeps_edges(name):
    skeleton, _ = ALL[name]
    mirror = skeleton.mirror
    assert [mirror[mirror[i]] for i in range(len(skeleton))] == list(range(len(skeleton)))
    edges = {frozenset(edge) for edge in skeleton.edges}
    assert {frozenset(mirror[i] for i in edge) for edge in edges} == edges


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name][0].parents])
def test_every_joint_hangs_on_one_root(name):
    skeleton, _ = ALL[name]
    assert skeleton.parents.count(-1) == 1
    for joint in range(len(skeleton)):
        steps = 0
        while (joint := skeleton.parents[joint]) >= 0:
            steps += 1
            assert steps < len(skeleton)


def test_smpl_parents_are_those_of_its_published_files():
    assert SMPL.parents == (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
    assert SMPLH.parents[22:28] == (20, 22, 23, 20, 25, 26) and SMPLH.parents[37:40] == (21, 37, 38)
    assert SMPLX.parents[22:28] == (15, 15, 15, 20, 25, 26)


def test_a_knee_mirrors_to_the_other_knee_and_the_neck_to_itself():
    assert SMPL.mirror[SMPL.names.index("left_knee")] == SMPL.names.index("right_knee")
    assert SMPL.mirror[12] == 12


def test_shared_joints_pair_equal_names():
    body25, coco = shared_joints(BODY25, COCO17)
    assert [BODY25.names[i] for i in body25] == [COCO17.names[j] for j in coco]
    assert len(coco) == 17  # BODY_25 holds all of COCO
    assert shared_joints(SMPL, SMPLX)[0] == list(range(22))


def test_body25b_has_cocos_order_and_body25_feet():
    assert BODY25B.names[:17] == COCO17.names
    assert BODY25B.names[19:] == BODY25.names[19:]
    assert not {"neck", "middle_hip"} & set(BODY25B.names)


def test_anny_has_all_joints_of_smplx_but_feet_and_jaw():
    shared = {SMPLX.names[j] for _, j in zip(*shared_joints(ANNY, SMPLX), strict=True)}
    assert set(SMPLX.names) - shared == {"left_foot", "right_foot", "jaw"}


def test_limits_allow_the_resting_pose_and_mirror_left_to_right():
    limits = dict(zip(ANNY.names[1:], anny_limits(), strict=True))
    assert all(low <= 0 <= high for joint in limits.values() for low, high in joint)
    x, y, z = limits["left_shoulder"]
    assert limits["right_shoulder"] == (x, (-y[1], -y[0]), (-z[1], -z[0]))
    assert limits["left_knee"][0][1] > 2 and limits["left_knee"][0][0] > -0.2  # it bends one way only
    assert limits["left_middle_palm"] == limits["right_pinky_palm"] != limits["left_middle1"]
