"""Which pictures are left out together of the colours that one is drawn with."""

import pytest
import torch

from anr_core.avatars import Scene
from anr_core.avatars.folds import Folds


@pytest.mark.parametrize("pictures", [
    [(camera, frame) for camera in "abc" for frame in range(6)],
    [(str(frame), frame) for frame in range(30)],  # one camera a frame
    [("a", frame) for frame in range(9)],
], ids=["cameras and frames", "one camera a frame", "one camera"])
def test_every_picture_is_in_groups_that_do_not_hold_all(pictures):
    folds = Folds(pictures)
    members = {group: [picture for picture in pictures if group in folds.of(picture)]
               for group in range(folds.count)}
    assert all(0 < len(group) < len(pictures) for group in members.values())
    assert {len(folds.of(picture)) for picture in pictures} == {len(folds.kinds)}
    assert sorted(sum(members.values(), [])) == sorted(pictures * len(folds.kinds))


def test_a_picture_is_left_out_with_its_camera_or_with_its_stretch_of_time():
    folds = Folds([(camera, frame) for camera in "abc" for frame in range(6)])
    assert set(folds.of(("a", 0))) & set(folds.of(("a", 5)))
    assert set(folds.of(("a", 0))) & set(folds.of(("c", 1)))
    assert not set(folds.of(("a", 0))) & set(folds.of(("c", 5)))
    scene = Scene(None, None, (1, 1), frame=torch.tensor([0] * 40), camera_name=["a"] * 40)
    assert set(folds.choose(scene).tolist()) == set(folds.of(("a", 0)))


def test_a_single_picture_is_not_left_out():
    assert Folds([("a", 0)]).count == 0


def test_groups_of_many_cameras_and_frames_are_as_large_as_each_other():
    folds = Folds([(f"{camera:02d}", frame) for camera in range(20) for frame in range(90)])
    cameras = [folds.of((f"{camera:02d}", 0))[0] for camera in range(20)]
    stretches = [folds.of(("00", frame))[1] for frame in range(90)]
    for groups in (cameras, stretches):
        sizes = [groups.count(group) for group in sorted(set(groups))]
        assert max(sizes) - min(sizes) <= 1 and groups == sorted(groups)
    assert len(set(stretches)) == Folds.STRETCHES and not set(cameras) & set(stretches)


def test_one_camera_a_frame_has_a_single_kind_of_group():
    assert len(Folds([(str(frame), frame) for frame in range(30)]).kinds) == 1
    assert len(Folds([("a", frame) for frame in range(9)]).kinds) == 1
