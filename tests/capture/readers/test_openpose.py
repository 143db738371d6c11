"""Keypoints beside pictures: whose they are, which model's, and how many."""

import json

import numpy as np
import pytest

from anr_core.capture.readers.openpose import alike, follow, read_keypoint_files, read_keypoint_table
from anr_core.skeleton import BODY25, BODY25B, COCO23
from anr_core.skeleton.detailed import BODY25_DETAILED, BODY25B_DETAILED, COCO23_DETAILED
from anr_core.skeleton.named import skeleton_named
from tests.conftest import REAL_CAPTURES
from tests.small_sources import SIZE, cameras, seen


def write(folder, frames):
    """One file a frame of lists of people, each (K, 3)."""
    files = {}
    for frame, people in enumerate(frames):
        files[frame] = folder / f"{frame:04d}_keypoints.json"
        files[frame].write_text(json.dumps(
            {"people": [{"pose_keypoints_2d": np.ravel(points).tolist()} for points in people]}))
    return files


def person(x, height=50.0, sure=0.9):
    """(25, 3) a made-up upright person somewhere in the picture."""
    points = seen(cameras()["cam2"], 0)
    points[:, :2] = (points[:, :2] - points[:, :2].min(0)) * height / np.ptp(points[:, 1])
    return points * np.float32([1, 1, sure / 0.9]) + np.float32([x, 5, 0])


def test_the_largest_and_surest_person_is_followed_past_others():
    walk = [10, 13, 16, 19, 22]
    people = {frame: [person(60, 20), person(x), person(16, 45, 0.35)] for frame, x in enumerate(walk)}
    assert [round(float(points[:, 0].min())) for points in follow(people).values()] == walk


def test_frames_without_the_person_are_left_out():
    people = {0: [person(10)], 1: [], 2: [person(200, 12)], 3: [person(14)]}
    assert list(follow(people)) == [0, 3]
    assert follow({0: [], 1: []}) == {}


def test_openpose_coco_is_brought_into_cocos_order(tmp_path):
    points = np.arange(54, dtype=np.float64).reshape(18, 3) / 100 + 1
    found, skeleton = read_keypoint_files(write(tmp_path, [[points]]), SIZE)
    assert skeleton == "coco17"
    left_eye, left_shoulder, right_shoulder, left_ankle = found[0][[1, 5, 6, 15]]
    assert np.allclose(left_eye, points[15]) and np.allclose(left_shoulder, points[5])
    assert np.allclose(right_shoulder, points[2]) and np.allclose(left_ankle, points[13])


def test_halpe_is_brought_into_coco23s_order(tmp_path):
    points = np.arange(78, dtype=np.float64).reshape(26, 3) / 100 + 1
    found, skeleton = read_keypoint_files(write(tmp_path, [[points]]), SIZE)
    assert skeleton == "coco23" and np.allclose(found[0][17:], points[[20, 22, 24, 21, 23, 25]])


def test_openposes_two_models_of_25_points_are_told_apart(tmp_path):
    points = seen(cameras()["cam1"], 2)
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir(), new.mkdir()
    assert read_keypoint_files(write(old, [[points]]), SIZE)[1] == "body25"
    other = {"upper_neck": "neck", "head_top": "nose"}
    reordered = points[[BODY25.names.index(other.get(name, name)) for name in BODY25B.names]]
    assert read_keypoint_files(write(new, [[reordered]]), SIZE)[1] == "body25b"


@pytest.mark.parametrize(("people", "complaint"), [
    ([[np.ones((7, 3))]], "has 7 points a person, but 17, 18"),
    ([[np.ones((17, 3))], [np.ones((25, 3))]], "mixes skeletons: 17 in 0000_keypoints.json, 25 in 0001"),
    ([[np.ones((25, 2))]], "not x, y and confidence"),
    ([[np.full((25, 3), np.nan)]], "0000_keypoints.json has points that are NaN, infinite"),
])
def test_what_is_no_skeleton_is_refused(people, complaint, tmp_path):
    with pytest.raises(ValueError, match=complaint):
        read_keypoint_files(write(tmp_path, people), SIZE)


def test_annotations_of_pictures_of_another_size_are_refused(tmp_path):
    file = tmp_path / "0.json"
    people = [{"keypoints": np.ones((25, 3)).tolist()}]
    file.write_text(json.dumps({"height": 240, "width": 180, "annots": people}))
    with pytest.raises(ValueError, match="detected in pictures of 180x240 pixels, but they are 90x120"):
        read_keypoint_files({0: file}, SIZE)


def test_a_table_holds_all_cameras(tmp_path):
    table = np.stack([[seen(camera, frame) for frame in (4, 6)] for camera in cameras().values()])
    table[1, 0] = 0  # not found
    np.savez(tmp_path / "keypoints.npz", cameras=list(cameras()), frames=[4, 6], keypoints2d=table)
    found, skeleton = read_keypoint_table(tmp_path / "keypoints.npz")
    assert skeleton == "body25" and {name: list(rows) for name, rows in found.items()} == \
        {"cam1": [4, 6], "cam2": [6], "cam10": [4, 6]}
    assert np.array_equal(found["cam10"][6], table[2, 1])


@pytest.mark.parametrize("damage", [{"keypoints2d": np.zeros((2, 2, 25))}, {"frames": np.zeros(9)},
                                    {"keypoints2d": np.zeros((3, 2, 4, 3))}, None])
def test_a_damaged_table_is_refused(damage, tmp_path):
    arrays = {"cameras": list(cameras()), "frames": [4, 6], "keypoints2d": np.zeros((3, 2, 25, 3))}
    np.savez(tmp_path / "keypoints.npz", **{**arrays, **(damage or {})})
    if damage is None:
        (tmp_path / "keypoints.npz").write_bytes((tmp_path / "keypoints.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match="keypoints.npz"):
        read_keypoint_table(tmp_path / "keypoints.npz")


# the real ones

def test_beam_walker_is_of_the_newer_model_and_scaled_to_its_pictures(real_capture):
    made = real_capture("beam-walker")
    assert made.skeleton == "body25b"
    with np.load(REAL_CAPTURES / "beam-walker" / "keypoints.npz") as arrays:
        full = arrays["keypoints2d"][1, 8]
    assert np.allclose(made.keypoints["cam02", 8].numpy(), full * [0.5, 0.5, 1], atol=1e-3)


def test_turning_persons_keypoints_are_halved_with_their_pictures(real_capture):
    made = real_capture("turning-person")
    view = made.views(["0000"])[0]
    points = view.keypoints[0][view.keypoints[0, :, 2] > 0.3]
    columns, rows = points[:, :2].long().T
    assert made.skeleton == "body25_detailed" and made.of_body.skeleton == "body25"
    assert (view.mask[0, 0, rows, columns] > 0.5).float().mean() > 0.9


def detailed(points, hands=(), face=True, sure=0.5):
    """One of OpenPose's people: a body with hands and a face, whose points count upwards."""
    parts = {f"hand_{side}_keypoints_2d": (21, side in hands) for side in ("left", "right")}
    parts["face_keypoints_2d"] = 70, face
    person = {"pose_keypoints_2d": np.ravel(points).tolist()}
    for key, (count, there) in parts.items():
        numbers = np.stack([np.arange(count), np.arange(count), np.full(count, sure)], 1)
        person[key] = numbers.ravel().tolist() if there else []
    return person


def write_people(folder, frames):
    files = {}
    for frame, people in enumerate(frames):
        files[frame] = folder / f"{frame:04d}_keypoints.json"
        files[frame].write_text(json.dumps({"people": people}))
    return files


def test_hands_and_face_are_those_of_who_is_followed(tmp_path):
    bystander = detailed(person(60, 20), ("left", "right"))
    frames = [[bystander, detailed(person(10 + frame), ("right",), frame > 0)] for frame in range(3)]
    found, skeleton = read_keypoint_files(write_people(tmp_path, frames), SIZE)
    assert skeleton == "body25_detailed" and found[0].shape == (135, 3)
    names = BODY25_DETAILED.names
    assert np.allclose(found[1][names.index("right_thumb1")], (1, 1, 0.5))  # the first point was the wrist
    assert np.allclose(found[1][names.index("chin")], (8, 8, 0.5))
    assert not found[1][names.index("left_index4")].any()  # the bystander has that hand
    assert not found[0][names.index("chin")].any() and found[0][names.index("right_pinky4"), 2] > 0
    bodies, plain = read_keypoint_files(write(tmp_path, [[person(10 + frame)] for frame in range(3)]), SIZE)
    assert plain == "body25"
    for frame in range(3):
        assert np.array_equal(found[frame][:25], bodies[frame])


def test_clips_that_show_no_hands_have_hands_that_are_not_known():
    shown, plain = ({0: np.ones((135, 3))}, "body25_detailed"), ({1: np.ones((25, 3))}, "body25")
    points, skeleton = alike([shown, plain])[1]
    assert skeleton == "body25_detailed" and points[1].shape == (135, 3)
    assert points[1][:25].all() and not points[1][25:].any()
    assert alike([plain, plain]) == [plain, plain]


def whole(count, sure=0.5):
    """(count, 3) a body in its own place, and behind it points of hands and face that tell their number."""
    names = {133: COCO23, 135: BODY25B}[count].names
    points = np.stack([np.arange(count), np.arange(count), np.full(count, sure)], 1).astype(np.float32)
    by_name = dict(zip(BODY25.names, person(10), strict=True))
    points[:len(names)] = [by_name.get(name, (12, 6, 0.9)) for name in names]
    return points


# where the models' authors have them; a hand of COCO-WholeBody begins with the wrist
@pytest.mark.parametrize(("count", "name", "skeleton", "places"), [
    (133, "coco23", COCO23_DETAILED, {"chin": 31, "left_thumb1": 92, "left_pinky4": 111, "right_thumb1": 113,
                                      "right_pinky4": 132, "nose_bridge1": 50, "right_lip_corner": 71}),
    (135, "body25b", BODY25B_DETAILED, {"chin": 73, "left_thumb1": 25, "left_pinky4": 44, "right_thumb1": 45,
                                        "right_pinky4": 64, "nose_bridge1": 92, "left_pupil": 134}),
])
def test_models_of_the_whole_body_have_hands_and_face_behind_it(count, name, skeleton, places, tmp_path):
    (tmp_path / "files").mkdir()
    found, named = read_keypoint_files(write(tmp_path / "files", [[whole(count)], [whole(count)]]), SIZE)
    assert named == f"{name}_detailed" and skeleton_named(named) is skeleton
    assert found[0].shape == (len(skeleton), 3)
    assert np.array_equal(found[0][:len(skeleton) - 110], whole(count)[:len(skeleton) - 110])
    for joint, place in places.items():
        assert np.allclose(found[0][skeleton.names.index(joint)], (place, place, 0.5)), joint
    assert found[0][skeleton.names.index("left_pupil"), 2] == (count == 135) * 0.5

    np.savez(tmp_path / "table.npz", cameras=["a"], frames=[4, 6], keypoints2d=[[whole(count)] * 2])
    table, also = read_keypoint_table(tmp_path / "table.npz")
    assert also == named and np.array_equal(table["a"][6], found[0])

    bare = whole(count)
    bare[len(skeleton) - 110:, 2] = 0
    found, named = read_keypoint_files(write(tmp_path / "files", [[bare]]), SIZE)
    assert named == name and found[0].shape == (len(skeleton) - 110, 3)


def test_hands_and_faces_that_nobody_has_change_nothing(tmp_path):
    files = write_people(tmp_path, [[detailed(person(10), ("left", "right"), sure=0.0)]])
    found, skeleton = read_keypoint_files(files, None)
    assert skeleton == "body25" and found[0].shape == (25, 3)


def test_a_hand_of_another_model_is_refused(tmp_path):
    one = detailed(person(10), ("left",)) | {"face_keypoints_2d": [1.0, 2.0, 0.5]}
    with pytest.raises(ValueError, match="face_keypoints_2d has 1 points, but 70 are known"):
        read_keypoint_files(write_people(tmp_path, [[one]]), SIZE)


def test_easymocaps_hands_and_face_are_the_same_points(tmp_path):
    one = detailed(person(10), ("left", "right"))
    parts = {key: np.reshape(one[name], (-1, 3)).tolist() for key, name in
             (("keypoints", "pose_keypoints_2d"), ("handl2d", "hand_left_keypoints_2d"),
              ("handr2d", "hand_right_keypoints_2d"), ("face2d", "face_keypoints_2d"))}
    file = tmp_path / "0.json"
    file.write_text(json.dumps({"annots": [{"personID": 0} | parts]}))
    here = read_keypoint_files({0: file}, None)
    there = read_keypoint_files(write_people(tmp_path, [[one]]), None)
    assert here[1] == there[1] == "body25_detailed" and np.array_equal(here[0][0], there[0][0])
