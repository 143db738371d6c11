"""NeuMan's scenes, in the layout that its authors hand out."""

import pickle
import shutil

import numpy as np
import pytest
import torch

from anr_core.capture.readers import find_reader, neuman
from anr_core.capture.readers.colmap import read_photographs
from anr_core.prepare import prepare
from tests.body.test_smpl import blend_skinning, tiny_model, write
from tests.capture.readers.small_datasets import agreement, make_neuman, standing_cameras


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neuman") / "bike"
    make_neuman(folder)
    return folder


def test_a_scene_becomes_a_registered_capture_in_metres(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture")
    said = capsys.readouterr().out
    assert "format neuman" in said and "unit of length is taken as 0.4 m" in said
    for camera, made in zip(capture.cameras.values(), standing_cameras(4), strict=True):
        torch.testing.assert_close(camera.R, made.R, atol=1e-5, rtol=0)
        torch.testing.assert_close(camera.t, made.t, atol=1e-4, rtol=0)
    assert agreement(capture) > 0.9  # so masks, which mark the background, meshes and cameras agree
    assert [shot.split for shot in capture.shots] == ["train", "train", "validation", "test"]
    assert capture.skeleton == "coco17" and capture.keypoints["00003", 3][0, 0] == 3
    assert capture.up[2] > 0.9 and abs(float(capture.up.norm()) - 1) < 1e-5


def test_the_users_model_poses_the_optimised_fit_without_pose_blend_shapes(source, tmp_path, monkeypatch):
    pytest.importorskip("smplx")
    model = tiny_model("smpl")
    write(tmp_path / "SMPL_NEUTRAL.pkl", model)
    monkeypatch.setenv("ANR_CORE_SMPL", str(tmp_path))
    footage, plain = neuman.read(source), dict(model, posedirs=0 * model["posedirs"])
    aligned = np.load(source / "alignments.npy", allow_pickle=True).item()["00003.png"]
    vertices, _ = blend_skinning(plain, np.zeros(10), torch.full((24, 3), 0.03, dtype=torch.float64), 0)
    expected = (np.hstack([vertices, np.ones((len(vertices), 1))]) @ aligned) / 2.5
    np.testing.assert_allclose(footage.vertices[3], expected, atol=1e-5)


def test_without_triangles_vertices_are_kept_and_without_vertices_poses(copied, monkeypatch):
    monkeypatch.delenv("ANR_CORE_SMPL", raising=False)
    shutil.rmtree(copied / "lbs")
    footage = neuman.read(copied)
    assert footage.surface is None and footage.foreign["vertices"].shape == (4, 840, 3)
    (copied / "smpl_output_romp.pkl").unlink()
    footage = neuman.read(copied)
    assert "vertices" not in footage.foreign and footage.foreign["poses"].shape == (4, 72)
    (copied / "smpl_output_optimized.pkl").unlink()
    assert "let fit find a body" in " ".join(neuman.read(copied).notes)


def test_a_picture_without_an_alignment_is_left_out(copied):
    alignments = np.load(copied / "alignments.npy", allow_pickle=True).item()
    del alignments["00001.png"]
    np.save(copied / "alignments.npy", alignments, allow_pickle=True)
    assert [take.frame for take in neuman.read(copied).takes] == [0, 2, 3]
    assert find_reader(copied)[0] == "neuman"


@pytest.mark.parametrize(("model", "expected"), [
    ("SIMPLE_PINHOLE 8 6 500 4 3", (500, 500, 4, 3)), ("PINHOLE 8 6 500 501 4 3", (500, 501, 4, 3)),
    ("SIMPLE_RADIAL 8 6 500 4 3 0.1", (500, 500, 4, 3, 0.1, 0, 0, 0)),
    ("RADIAL 8 6 500 4 3 0.1 0.2", (500, 500, 4, 3, 0.1, 0.2, 0, 0)),
    ("OPENCV 8 6 500 501 4 3 0.1 0.2 0.3 0.4", (500, 501, 4, 3, 0.1, 0.2, 0.3, 0.4)),
    ("FULL_OPENCV 8 6 500 501 4 3 1 2 3 4 5 6 7 8", (500, 501, 4, 3, 1, 2, 3, 4, 5, 6, 7, 8)),
])
def test_colmaps_cameras_become_opencvs(tmp_path, model, expected):
    (tmp_path / "cameras.txt").write_text(f"# about\n7 {model}\n")
    (tmp_path / "images.txt").write_text("# about\n1 0 0 0 1 1 2 3 7 my name.png\n\n")
    found = read_photographs(tmp_path)["my name.png"]
    assert (found.K[0, 0], found.K[1, 1], found.K[0, 2], found.K[1, 2], *found.distortion) == expected
    assert found.size == (6, 8) and found.t.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.R, np.diag([-1, -1, 1]))  # half a turn about Z


def changed(file, change):
    stored = np.load(file, allow_pickle=True).item()
    change(stored)
    np.save(file, stored, allow_pickle=True)


def text(file, old, new):
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lambda f: changed(f / "alignments.npy", lambda a: a.update({"00000.png": np.zeros((3, 4))})), "shape"),
    (lambda f: changed(f / "alignments.npy", lambda a: a["00000.png"].__imul__(-1)), "mirrors or flattens"),
    (lambda f: changed(f / "alignments.npy", lambda a: a["00000.png"].fill(np.nan)), "NaN"),
    (lambda f: (f / "alignments.npy").write_bytes(b"\x93NUMPY"), "alignments.npy can't be read"),
    (lambda f: (f / "smpl_output_optimized.pkl").write_bytes(pickle.dumps({})), "holds 0 people"),
    (lambda f: (f / "smpl_output_optimized.pkl").write_bytes(pickle.dumps({1: {"pose": [1]}})), r"\(1,"),
    (lambda f: (f / "smpl_output_optimized.pkl").write_bytes(pickle.dumps({1: 7})), "holds a int as"),
    (lambda f: (f / "smpl_output_optimized.pkl").write_bytes(b"cos\nsystem\n."), "wants os.system"),
    (lambda f: text(f / "sparse" / "images.txt", "00001.png", "0.png"), "has frame 0 twice, once as 0.png"),
    (lambda f: text(f / "sparse" / "cameras.txt", "PINHOLE", "FISHEYE"), "none of the models"),
    (lambda f: text(f / "sparse" / "cameras.txt", "1 PINHOLE", "2 PINHOLE"), "cameras.txt lacks"),
    (lambda f: (f / "sparse" / "cameras.txt").unlink(), "cameras.txt is missing"),
    (lambda f: text(f / "sparse" / "images.txt", "00001.png", "one.png"), "expected names like"),
    (lambda f: text(f / "sparse" / "images.txt", " 1 00001.png", ""), "is no image"),
    (lambda f: (f / "sparse" / "images.txt").write_text("# nothing\n"), "lists no images"),
    (lambda f: (f / "sparse" / "images.txt").write_bytes(b"\xff\xfe\x00"), "is no text"),
    (lambda f: (f / "images" / "00001.png").unlink(), "00001.png can't be read|is missing"),
    (lambda f: np.save(f / "keypoints" / "00001.png.npy", np.zeros((18, 3))), r"expected \(17, 3\)"),
])
def test_broken_files_are_refused_in_one_line(copied, tmp_path, spoil, complaint):
    spoil(copied)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint) as refused:
        prepare(copied, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
