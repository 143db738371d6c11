"""ZJU-MoCap, in the layout that its authors hand out."""

import shutil

import numpy as np
import pytest
import torch

from anr_core.capture.readers import find_reader, zju
from anr_core.capture.readers.timing import Span
from anr_core.prepare import prepare
from tests.capture.readers.small_datasets import SIZE, agreement, make_zju, standing_cameras


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zju") / "CoreView_900"
    make_zju(folder)
    return folder


def test_the_dataset_becomes_a_registered_capture(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture")
    assert "format zju" in capsys.readouterr().out
    assert list(capture.cameras) == ["Camera_B1", "Camera_B2"] and len(capture.shots) == 6
    assert capture.licence.startswith("ZJU-MoCap: non-commercial") and capture.person == "CoreView_900"
    for camera, made in zip(capture.cameras.values(), standing_cameras(), strict=True):
        torch.testing.assert_close(camera.t, made.t)  # millimetres became metres
        torch.testing.assert_close(camera.K, made.K)
        assert camera.size == SIZE
    assert agreement(capture) > 0.9  # so masks, meshes and cameras belong together
    assert capture.skeleton == "body25" and capture.keypoints["Camera_B1", 2][0, 0] == 2.5
    assert capture.up.tolist() == [0, 0, 1]


def test_313_and_315_count_from_1_and_name_cameras_with_brackets(source, tmp_path):
    make_zju(tmp_path / "CoreView_313", odd=True)
    odd, even = prepare(tmp_path / "CoreView_313", tmp_path / "odd"), prepare(source, tmp_path / "even")
    assert list(odd.cameras) == ["Camera_1", "Camera_2"]
    assert {shot.frame for shot in odd.shots} == {0, 1, 2}
    torch.testing.assert_close(odd.body.vertices, even.body.vertices)


def test_views_and_frames_are_held_out_as_published():
    split = {(view, frame): zju._split("377", view, frame) for view in range(23) for frame in range(617)}
    of = {name: [key for key, value in split.items() if value == name] for name in set(split.values())}
    assert len(of["train"]) == 4 * 300 and {view for view, _ in of["train"]} == {0, 6, 12, 18}
    assert {view for view, _ in of["novel_view"]} == set(range(23)) - {0, 6, 12, 18}
    assert sorted({frame for _, frame in of["novel_view"]}) == list(range(0, 300, 30))
    assert sorted({frame for _, frame in of["novel_both"]}) == list(range(300, 617, 30))
    assert zju._split("390", 0, 0) == "novel_pose" and zju._split("390", 0, 700) == "train"
    assert zju._split("390", 0, 1000) is None and zju._split("313", 0, 60) == "novel_pose"


@pytest.mark.parametrize("subject, frames, trained, novel", [
    ("313", 1470, (0, 59), (60, 1059)), ("315", 2185, (0, 399), (400, 1399)),
    ("377", 617, (0, 299), (300, 616)), ("386", 646, (0, 299), (300, 645)),
    ("387", 654, (0, 299), (300, 653)), ("390", 1171, (700, 999), (0, 699)),
    ("392", 556, (0, 299), (300, 555)), ("393", 658, (0, 299), (300, 657)),
    ("394", 859, (0, 299), (300, 858))])
def test_a_subjects_frames_are_those_of_the_published_table(subject, frames, trained, novel):
    """First and last frame of each range: the published table's, whose second ranges end before their end."""
    for view, (seen, unseen) in ((6, ("train", "novel_pose")), (7, ("novel_view", "novel_both"))):
        split = [zju._split(subject, view, frame) for frame in range(frames)]
        for name, (first, last) in ((seen, trained), (unseen, novel)):
            found = [frame for frame, of in enumerate(split) if of == name]
            step = 1 if name == "train" else 30
            assert found == list(range(first, last + 1, step)), name
        assert set(split) <= {seen, unseen, None}


def test_meshes_without_triangles_are_kept_for_the_fit(copied, tmp_path, capsys):
    shutil.rmtree(copied / "lbs")
    capture = prepare(copied, tmp_path / "capture")
    assert capture.registration is None
    assert "which come without triangles, are kept in foreign.npz" in capsys.readouterr().out
    with np.load(capture.path / "foreign.npz") as kept:
        assert kept["vertices"].shape == (3, 840, 3) and kept["mesh_frames"].tolist() == [0, 1, 2]
        assert kept["Th"].tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]] and not kept["pose_blend_shapes"]


def test_the_better_fit_is_taken_where_there_is_one(copied):
    for name in ("vertices", "params"):
        shutil.copytree(copied / name, copied / f"new_{name}")
    np.save(copied / "new_vertices" / "0.npy", np.load(copied / "vertices" / "0.npy") + 0.25)
    footage = zju.read(copied)
    np.testing.assert_allclose(footage.vertices[0], np.load(copied / "vertices" / "0.npy") + 0.25)
    assert footage.foreign["pose_blend_shapes"]


def test_frames_without_a_mesh_and_cameras_without_pictures_are_left_out(copied):
    (copied / "vertices" / "1.npy").unlink()
    shutil.rmtree(copied / "Camera_B2")
    footage = zju.read(copied)
    assert list(footage.cameras) == ["Camera_B1"] and [take.frame for take in footage.takes] == [0, 2]
    assert any("1 of 3 frames have no mesh in vertices/" in note for note in footage.notes)
    assert any("3 pictures that annots.npy lists are not here" in note for note in footage.notes)


def test_seconds_choose_frames(copied):
    assert [take.frame for take in zju.read(copied, Span(start=1 / 30)).takes] == [1, 1, 2, 2]
    assert [take.frame for take in zju.read(copied, Span(fps=15)).takes] == [0, 0, 2, 2]
    with pytest.raises(ValueError, match="No frame is left"):
        zju.read(copied, Span(start=9))


def changed(file, change):
    stored = np.load(file, allow_pickle=True).item()
    change(stored)
    np.save(file, stored, allow_pickle=True)


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda a: a.pop("cams"), "annots.npy has no cams; it has ims"),
    (lambda a: a["cams"].pop("T"), "annots.npy has no T"),
    (lambda a: a["cams"]["K"].pop(), "has 1 K, 2 D, 2 R and 2 T"),
    (lambda a: a["cams"]["T"][0].fill(np.nan), "T of camera 0 has 3 values that are NaN"),
    (lambda a: a["cams"]["T"].__setitem__(0, np.zeros((4, 1))), r"T of camera 0 has the shape \(4, 1\)"),
    (lambda a: a["cams"]["R"][1].__imul__(2), "R of camera 1 is no rotation"),
    (lambda a: a["cams"]["T"][0].__imul__(1e6), "millimetres"),
    (lambda a: a.update(ims=[]), "lists no pictures"),
    (lambda a: a["ims"][0].update(ims=["/etc/passwd.jpg"]), "expected paths below it"),
    (lambda a: a["ims"][0].update(ims=["Camera_B1/x.jpg"]), "no frame number"),
    (lambda a: a["ims"][0].update(kpts2d=np.zeros((2, 24, 3))), "kpts2d of frame 0 has the shape"),
    (lambda a: a["ims"][0].pop("ims"), "has no ims"),
    (lambda a: a["ims"][1].update(ims=a["ims"][0]["ims"]), "lists frame 0 twice"),
    (lambda a: a["cams"]["K"][0].__imul__(1e30), "camera 0 needs finite K"),
    (lambda a: a["cams"]["K"].__setitem__(0, 1j * np.eye(3)), "camera 0 is not K"),
])
def test_broken_annotations_are_refused_in_one_line(copied, change, complaint, tmp_path):
    changed(copied / "annots.npy", change)
    with pytest.raises(ValueError, match=complaint) as refused:
        prepare(copied, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()


@pytest.mark.parametrize(("name", "content", "complaint"), [
    ("annots.npy", [1, 2], "expected a dictionary with ims|has no ims"),
    ("vertices/1.npy", np.zeros((840, 2)), r"1.npy has the shape \(840, 2\), expected \(n, 3\)"),
    ("vertices/1.npy", np.zeros((839, 3)), "mixes meshes"),
    ("vertices/1.npy", np.full((840, 3), np.inf), "NaN, infinite"),
    ("params/1.npy", {"Rh": 1}, "1.npy: Rh|1.npy has no"),
    ("lbs/faces.npy", np.full((5, 3), 900), "faces.npy: faces names indices"),
])
def test_broken_files_are_refused_in_one_line(copied, name, content, complaint, tmp_path):
    np.save(copied / name, content, allow_pickle=True)
    with pytest.raises(ValueError, match=complaint) as refused:
        prepare(copied, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()


def test_truncated_files_are_refused_in_one_line(copied, tmp_path):
    for name in ("annots.npy", "vertices/1.npy", "params/1.npy", "Camera_B1/000001.jpg",
                 "mask_cihp/Camera_B1/000001.png"):
        whole = (copied / name).read_bytes()
        (copied / name).write_bytes(whole[:len(whole) // 2])
        with pytest.raises(ValueError, match=name.rpartition("/")[2]) as refused:
            prepare(copied, tmp_path / "capture")
        assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
        (copied / name).write_bytes(whole)


def test_the_format_is_recognised(source, tmp_path):
    assert find_reader(source)[0] == "zju"
    with pytest.raises(FileNotFoundError, match="annots.npy is missing"):
        find_reader(tmp_path, "zju")[1].read(tmp_path)
