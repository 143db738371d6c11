"""Hands and face in a capture change nothing of what asks of the body alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.avatars.joints import skeleton_in
from anr_core.capture.sheet import write_sheet
from anr_core.prepare import prepare
from anr_core.prepare.annotate import _in_set
from anr_core.prepare.check import check, mask_overlaps
from anr_core.prepare.fit import observed
from anr_core.prepare.scene import guide_for
from anr_core.skeleton import COCO23
from anr_core.skeleton.detailed import BODY25_DETAILED
from tests.capture.test_convert import assert_same, there_and_back
from tests.small_sources import NAMES, write_easymocap


def with_details(folder):
    """Give the people of OpenPose's files hands somewhere, and a face, all of which are sure."""
    for name in NAMES:
        for file in sorted((folder / "openpose" / name).glob("*.json")):
            content = json.loads(file.read_text())
            for person in content["people"]:
                person["hand_left_keypoints_2d"] = np.ones((21, 3)).ravel().tolist()
                person["face_keypoints_2d"] = np.full((70, 3), 0.9).ravel().tolist()
            file.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """The same one twice, without and with hands and face."""
    folder = tmp_path_factory.mktemp("sources")
    plain = prepare(write_easymocap(folder / "plain"), folder / "plain_capture")
    detailed = prepare(with_details(write_easymocap(folder / "detailed")), folder / "detailed_capture")
    assert (plain.skeleton, detailed.skeleton) == ("body25", "body25_detailed")
    return plain, detailed


def test_the_bodys_keypoints_are_the_same(captures):
    plain, detailed = captures
    assert plain.of_body is plain and detailed.of_body.skeleton == "body25"
    assert all(torch.equal(points, detailed.of_body.keypoints[place])
               for place, points in plain.keypoints.items())


def test_a_fit_sees_the_same(captures):
    plain, detailed = (observed(capture.of_body, list(NAMES)) for capture in captures)
    assert torch.equal(plain.points, detailed.points) and torch.equal(plain.belief, detailed.belief)
    assert torch.equal(plain.left_out(), detailed.left_out()) and plain.openpose and detailed.openpose


def test_the_report_says_the_same(captures):
    plain, detailed = captures
    overlaps = [list(mask_overlaps(capture).values()) for capture in captures]
    assert overlaps[0] == overlaps[1] and overlaps[0]
    told = [list(map(str, check(capture, mask_overlaps(capture), plain.path))) for capture in captures]
    assert told[0] == told[1]


def test_masks_are_looked_for_in_the_same_places(captures):
    plain, detailed = (guide_for(capture, capture.shots[0]) for capture in captures)
    assert plain.height == detailed.height and np.array_equal(plain.core, detailed.core)


def test_new_keypoints_of_the_body_leave_hands_and_face_unknown():
    points = np.random.default_rng(0).random((23, 3), np.float32)
    found = _in_set(points, "coco23", "body25_detailed")
    places = [BODY25_DETAILED.names.index(name) for name in COCO23.names]
    assert np.array_equal(found[places], points) and not found[25:].any()


def test_converted_and_read_back_hands_and_face_are_there(captures, tmp_path):
    assert_same(captures[1], there_and_back(captures[1], tmp_path))


def test_so_they_are_of_coco_s_whole_body(captures, tmp_path):
    folder = write_easymocap(tmp_path / "source")
    for file in sorted((folder / "openpose").glob("*/*.json")):
        content = json.loads(file.read_text())
        for one in content["people"]:
            body = np.reshape(one["pose_keypoints_2d"], (25, 3))
            points = np.ones((133, 3))
            points[:23] = [body[BODY25_DETAILED.names.index(name)] for name in COCO23.names]
            one["pose_keypoints_2d"] = points.ravel().tolist()
        file.write_text(json.dumps(content))
    capture = prepare(folder, tmp_path / "capture")
    assert capture.skeleton == "coco23_detailed" and capture.of_body.skeleton == "coco23"
    assert_same(capture, there_and_back(capture, tmp_path))
    assert observed(capture.of_body, list(NAMES)).points.shape[1:] == \
        observed(captures[0].of_body, list(NAMES)).points.shape[1:]


def test_a_sheet_shows_hands(captures, tmp_path):
    for capture, name in zip(captures, ("plain.png", "detailed.png"), strict=True):
        write_sheet(capture, tmp_path / name)
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "detailed.png").read_bytes()


def test_joints_of_a_mesh_are_those_of_the_body(small_capture):
    detailed = replace(small_capture, skeleton="body25_detailed")
    assert skeleton_in(detailed) == skeleton_in(replace(small_capture, skeleton="body25"))
