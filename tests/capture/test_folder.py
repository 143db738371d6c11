"""Captures on disk: an index in memory, pictures read one by one."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture import body_box, load_capture
from anr_core.capture.pictures import Memory
from anr_core.prepare import prepare
from anr_core.rasterizer import rasterize
from tests.small_capture import make_small_capture


@pytest.fixture
def copied(small_capture, tmp_path):
    """A capture to damage."""
    return shutil.copytree(small_capture.path, tmp_path / "capture")


def test_views_come_as_their_shots_say(small_capture):
    views = small_capture.views()
    assert len(views) == 15
    for shot, view in zip(views.shots, views, strict=True):
        assert view.camera_name == [shot.camera] and view.frame.tolist() == [shot.frame]
        assert view.time.item() == pytest.approx(shot.frame / 15)
        assert view.size == small_capture.cameras[shot.camera].size == (240, 160)
        truth = np.array(Image.open(small_capture.path / shot.image))
        assert torch.equal((view.image[0] * 255).round().byte(), torch.from_numpy(truth).permute(2, 0, 1))


def test_cameras_and_frames_choose_views(small_capture):
    chosen = small_capture.views(cameras=["cam03"], frames=[1, 4])
    assert [(shot.camera, shot.frame) for shot in chosen.shots] == [("cam03", 1), ("cam03", 4)]
    with pytest.raises(ValueError, match="no camera cam9; it has cam01, cam02, cam03"):
        small_capture.views(cameras=["cam9"])
    with pytest.raises(ValueError, match="no frame 7"):
        small_capture.views(frames=[7])


def test_the_body_crop_is_a_square_around_the_mesh_with_room_for_clothes(small_capture):
    view = small_capture.views(crop="body", size=64)[3]
    assert view.size == view.camera.size == (64, 64)
    center, side = body_box(view.camera, small_capture.body(view.pose).vertices)
    torch.testing.assert_close(center, torch.full((1, 2), 32.0), atol=1e-3, rtol=0)
    assert side.item() == pytest.approx(64 / 1.15, abs=1e-3)
    rim = torch.ones(64, 64, dtype=torch.bool)
    rim[1:-1, 1:-1] = False
    assert view.mask.sum() > 300 and not view.mask[0, 0, rim].any()


def test_crops_of_a_wide_picture_begin_where_their_cameras_say(tmp_path):
    make_small_capture(tmp_path / "source", frames=1, camera_count=1, size=(160, 400))
    wide = prepare(tmp_path / "source", tmp_path / "capture")
    whole, loose, body = (wide.views(crop=crop, size=size)[0]
                          for crop, size in ((None, None), ("loose", None), ("body", 64)))
    left, top = (whole.camera.K - loose.camera.K)[0, :2, 2].round().long().tolist()
    height, width = loose.size
    assert left > 20 and width < 360
    vertices, faces = wide.body(body.pose).vertices, wide.body.surface.faces
    drawn, mask = rasterize(vertices, faces, body.camera, body.size).face_id >= 0, body.mask[:, 0] > 0.5
    assert (drawn & mask).sum() > 0.8 * (drawn | mask).sum()
    assert torch.equal(loose.image, whole.image[..., top:top + height, left:left + width])
    assert torch.equal(loose.mask, whole.mask[..., top:top + height, left:left + width])


def test_reading_one_view_opens_no_other_file(copied):
    capture = load_capture(copied)
    views = capture.views(crop="body", size=16)
    for shot in views.shots[1:]:
        (copied / shot.image).unlink()
    assert views[0].size == (16, 16)
    with pytest.raises(FileNotFoundError, match="0001.jpg is missing"):
        views[1]


def test_a_moved_capture_still_reads(copied):
    moved = copied.rename(copied.with_name("moved"))
    assert load_capture(moved).views()[0].size == (240, 160)


def test_a_picture_of_another_size_than_its_camera_is_named(copied):
    capture = load_capture(copied)
    mask = copied / capture.shots[0].mask
    Image.open(mask).resize((80, 120)).save(mask)
    with pytest.raises(ValueError, match="0000.png is 80x120 pixels, but .* cam01 is 160x240"):
        capture.views()[0]


def test_a_truncated_picture_is_named(copied):
    capture = load_capture(copied)
    image = copied / capture.shots[0].image
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(ValueError, match="0000.jpg can't be read as a picture"):
        capture.views()[0]


def test_a_folder_without_an_index_is_no_capture(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no capture.json.*anr_core prepare SOURCE"):
        load_capture(tmp_path)


@pytest.mark.parametrize(("damage", "complaint"), [
    (lambda text: text[:200], "is broken"),
    (lambda text: json.dumps({**json.loads(text), "version": 99}), "version 99"),
    (lambda text: text.replace('"cameras"', '"kameras"'), "capture.json is broken .it has no 'cameras'"),
    (lambda text: text.replace('"split"', '"spit"'), "capture.json is broken .a shot has 'spit'"),
])
def test_a_damaged_index_is_named(copied, damage, complaint):
    index = copied / "capture.json"
    index.write_text(damage(index.read_text()))
    with pytest.raises(ValueError, match=complaint):
        load_capture(copied)


def test_a_truncated_body_is_named(copied):
    body = copied / "body.npz"
    body.write_bytes(body.read_bytes()[:5000])
    with pytest.raises(ValueError, match="body.npz is missing or broken"):
        load_capture(copied)


def test_splits_and_conditions_choose_shots(copied):
    index = json.loads((copied / "capture.json").read_text())
    for shot in index["shots"]:
        shot["split"] = "held out" if shot["camera"] == "cam02" else "train"
    (copied / "capture.json").write_text(json.dumps(index))
    capture = load_capture(copied)
    assert capture.splits == ["held out", "train"]
    assert {shot.camera for shot in capture.split("train").shots} == {"cam01", "cam03"}
    assert len(capture.split("held out").only(lambda shot: shot.registered).views()) == 3
    with pytest.raises(ValueError, match="no split 'test'; it has held out, train"):
        capture.split("test")


def test_some_pictures_of_many_come_from_all_times_and_from_all_cameras(small_capture):
    many = replace(small_capture, shots=[replace(small_capture.shots[0], camera=f"cam{camera}", frame=frame)
                                         for frame in range(100) for camera in range(8)])
    some = many.evenly(100).shots
    assert [shot.frame for shot in some] == list(range(100))
    assert {shot.camera for shot in some} == {shot.camera for shot in many.shots}
    assert many.evenly(900).shots == many.shots and many.evenly(0).shots == []


def test_the_background_is_the_scene_without_the_person(small_capture):
    view = small_capture.views()[0]
    background = small_capture.background("cam01")
    difference = (view.image - background).abs().amax(1, keepdim=True)
    assert difference[view.mask == 0].quantile(0.9) < 0.05 < difference[view.mask == 1].quantile(0.5)
    assert load_capture(small_capture.path).background("elsewhere") is None


@pytest.mark.parametrize(("crop", "size"), [("body", None), ("loose", 64), (None, 64), ("face", 64)])
def test_crops_and_sizes_that_do_not_go_together_are_refused(small_capture, crop, size):
    with pytest.raises(ValueError, match="crop"):
        small_capture.views(crop=crop, size=size)


def test_views_travel_to_worker_processes(small_capture):
    views = small_capture.views(crop="body", size=16)
    first = views[0]
    assert torch.equal(pickle.loads(pickle.dumps(views))[0].image, first.image)


def test_memory_keeps_what_was_used_last_within_its_limit():
    memory, reads = Memory(limit=300), []

    def ask(key):
        return memory.get(key, lambda: reads.append(key) or (np.zeros(100, np.uint8),))

    for key in "abcabad":  # d pushes out c, which was used longest ago
        ask(key)
    assert reads == list("abcd")
    ask("a"), ask("b"), ask("c")
    assert reads == list("abcdc")
