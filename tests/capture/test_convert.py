"""Captures written in another format, and read back the same."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.capture import load_capture
from anr_core.capture.outline import drawn_mask
from anr_core.capture.pictures import read_image, read_mask, write_image, write_mask
from anr_core.capture.writers import convert, smplpix
from anr_core.cli import main
from anr_core.prepare import prepare
from tests.posed_capture import make_posed_capture
from tests.small_sources import write_easymocap


def same_files(one, other):
    """The files of a capture, but its index, which differ from another's in any byte."""
    names = {path.relative_to(folder).as_posix() for folder in (one, other) for path in folder.rglob("*")
             if path.is_file() and path.suffix not in (".npz", ".json") and path.name != "report.png"}
    assert len(names) > 5
    return [name for name in names if not (other / name).is_file() or not (one / name).is_file()
            or (one / name).read_bytes() != (other / name).read_bytes()]


def assert_same(one, other):
    """Two captures agree in all that can be asked of them, but in what they were prepared from."""
    indices = [json.loads((capture.path / "capture.json").read_text()) | {"format": ""}
               for capture in (one, other)]
    assert indices[0] == indices[1]
    assert same_files(one.path, other.path) == []
    assert one.keypoints.keys() == other.keypoints.keys()
    assert all(torch.equal(one.keypoints[key], other.keypoints[key]) for key in one.keypoints)
    if one.registration is not None:
        assert torch.equal(one.recording.frame, other.recording.frame)
        for pose in (one.recording[:1], one.recording[-1:]):
            assert torch.equal(one.body(pose).vertices, other.body(pose).vertices)
        assert torch.equal(one.body.surface.uv, other.body.surface.uv)


def there_and_back(capture, folder):
    assert main(["convert", str(capture.path), str(folder / "written"), "--format", "easymocap"]) == 0
    return prepare(folder / "written", folder / "back")


def test_a_capture_of_meshes_is_read_back_the_same(small_capture, tmp_path):
    back = there_and_back(small_capture, tmp_path)
    assert back.format == "easymocap"
    assert_same(small_capture, back)


def test_a_capture_of_poses_with_truth_is_read_back_the_same(tmp_path):
    capture = make_posed_capture(tmp_path / "capture")
    back = there_and_back(capture, tmp_path)
    assert_same(capture, back)
    assert back.body.shape == capture.body.shape
    shot = back.shots[0]
    assert np.array_equal(back.truth(shot, "depth"), capture.truth(shot, "depth"))


def test_a_capture_without_a_body_is_read_back_the_same(tmp_path):
    source = write_easymocap(tmp_path / "source", range(3))
    capture = prepare(source, tmp_path / "capture")
    assert_same(capture, there_and_back(capture, tmp_path))


def test_what_is_certain_splits_and_guesses_are_read_back(small_capture, tmp_path):
    copied = shutil.copytree(small_capture.path, tmp_path / "copied")
    index = json.loads((copied / "capture.json").read_text())
    for shot in index["shots"]:
        shot["split"] = "held out" if shot["camera"] == "cam02" else "train"
    first = index["shots"][0]
    first["certain"] = "certain/cam01/0000.png"
    write_mask(copied / first["certain"], read_mask(copied / first["mask"]) > 0)
    index["cameras"]["cam03"]["calibrated"] = False
    (copied / "capture.json").write_text(json.dumps(index, indent=1))
    capture = load_capture(copied)
    back = there_and_back(capture, tmp_path)
    assert_same(capture, back)
    assert back.splits == ["held out", "train"] and back.uncalibrated == {"cam03"}


def test_body_parameters_of_easymocap_come_back(tmp_path):
    source = write_easymocap(tmp_path / "source", range(2))
    (source / "smpl").mkdir()
    for frame in range(2):
        person = {"id": 0, "Rh": [[0, 0, frame]], "Th": [[0, 1, 0]], "poses": [[0.25] * 72],
                  "shapes": [[0.5] * 10]}
        (source / "smpl" / f"{frame:06d}.json").write_text(json.dumps([person]))
    capture = prepare(source, tmp_path / "capture")
    assert main(["convert", str(capture.path), str(tmp_path / "written")]) == 0
    written = json.loads((tmp_path / "written" / "smpl" / "000001.json").read_text())["annots"][0]
    assert written == person


def test_other_formats_and_places_that_are_taken_are_refused(small_capture, tmp_path, capsys):
    assert main(["convert", str(small_capture.path), str(tmp_path / "x"), "--format", "betamax"]) == 2
    assert "aren't written as 'betamax'; use easymocap" in capsys.readouterr().err
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["convert", str(small_capture.path), str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err and (tmp_path / "thesis.txt").is_file()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("damage", ["{}", "{", '{"shots": [], "body": null}'])
def test_a_damaged_index_beside_is_refused(damage, small_capture, tmp_path, capsys):
    assert main(["convert", str(small_capture.path), str(tmp_path / "written")]) == 0
    (tmp_path / "written" / "anr_core" / "capture.json").write_text(damage)
    assert main(["prepare", str(tmp_path / "written"), str(tmp_path / "back")]) == 2
    assert "capture.json" in capsys.readouterr().err and not (tmp_path / "back").exists()


@pytest.mark.parametrize(("name", "array"), [
    ("faces", np.full((1440, 3), np.nan)), ("faces", np.full((1440, 3), "x")), ("uv", np.zeros(910)),
    ("part", np.zeros(3)), ("frames", np.zeros(5)), ("vertices", np.zeros((5, 840, 2)))])
def test_a_damaged_body_beside_is_refused(name, array, small_capture, tmp_path, capsys):
    assert main(["convert", str(small_capture.path), str(tmp_path / "written")]) == 0
    file = tmp_path / "written" / "anr_core" / "body.npz"
    with np.load(file) as arrays:
        changed = {**arrays, name: array}
    np.savez(file, **changed)
    assert main(["prepare", str(tmp_path / "written"), str(tmp_path / "back")]) == 2
    assert "body.npz is missing or broken" in capsys.readouterr().err and not (tmp_path / "back").exists()


def pairs_of(capture, folder, name="written"):
    assert main(["convert", str(capture.path), str(folder / name), "--format", "smplpix"]) == 0
    return prepare(folder / name, folder / f"{name} back")


def as_floats(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


def test_pairs_for_smplpix_hold_the_person_and_the_mesh_over_white(small_capture, tmp_path):
    back = pairs_of(small_capture, tmp_path)
    assert back.format == "smplpix" and len(back.shots) == len(small_capture.shots)
    off, plain = [], []
    for shot, view in zip(back.shots, small_capture.views(), strict=True):
        person, mesh = (as_floats(read_image(back.path / file)) for file in (shot.image, shot.input))
        assert (person - (view.image * view.mask + 1 - view.mask)).abs().max() <= 0.5 / 255 + 1e-6
        posed = small_capture.body(view.pose)
        there = torch.from_numpy(drawn_mask(posed.vertices, posed.surface.faces, view.camera) > 0)
        assert (mesh[0, :, ~there] == 1).all()
        both = there & (view.mask[0, 0] == 1)
        own, drawn = person[0, :, both], mesh[0, :, both]
        off.append((drawn - own).abs().mean())
        plain.append((own.mean(1, keepdim=True) - own).abs().mean())
    # the same clothes at the same place, though the person's bulge: one colour all over is twice as wrong
    assert 2 * sum(off) < sum(plain), (sum(off), sum(plain))


def test_what_is_held_out_lends_no_colour_to_smplpix(small_capture, tmp_path, capsys):
    whole = pairs_of(small_capture, tmp_path, "whole")
    assert {shot.split for shot in whole.shots} == {"train"} and "no test/" in capsys.readouterr().out
    copied = shutil.copytree(small_capture.path, tmp_path / "copied")
    index = json.loads((copied / "capture.json").read_text()) | {"licence": "CC0, of the studio"}
    for shot in index["shots"]:
        if shot["camera"] == "cam02":
            shot["split"] = "novel_view"
            write_image(copied / shot["image"], 255 - read_image(copied / shot["image"]))
    (copied / "capture.json").write_text(json.dumps(index))
    back = pairs_of(load_capture(copied), tmp_path, "held out")
    assert [shot.split for shot in back.shots] == ["train"] * 5 + ["test"] * 5 + ["train"] * 5
    assert (back.path / "LICENSE.txt").read_text() == "CC0, of the studio\n"
    mesh, person = read_image(back.path / back.shots[6].input), read_image(back.path / back.shots[6].image)
    both = (mesh < 255).any(-1) & (person < 255).any(-1)
    right, wrong = (np.abs(mesh[both] - colours[both]).mean() for colours in (255.0 - person, 1.0 * person))
    assert right < 0.5 * wrong


@pytest.mark.parametrize("marks, splits", [
    (["train", "validation", "test", "novel_view"], ["train", "validation", "test", "test"]),
    (["a"] * 20 + ["train"], (["test"] * 9 + ["validation"]) * 2 + ["train"]),
])
def test_held_out_pictures_are_smplpix_validation_and_test(marks, splits):
    assert smplpix._splits(marks) == splits


def test_pairs_of_one_camera_keep_their_frames(small_capture, tmp_path):
    convert(small_capture.only(lambda shot: shot.camera == "cam02"), tmp_path / "written", "smplpix")
    back = prepare(tmp_path / "written", tmp_path / "back")
    assert [shot.frame for shot in back.shots] == [0, 1, 2, 3, 4]


def test_pairs_of_cameras_that_differ_share_a_size(small_capture, tmp_path):
    larger = {"larger": small_capture.cameras["cam01"].resize((300, 100))}
    mixed = replace(small_capture, cameras=small_capture.cameras | larger)
    convert(mixed.only(lambda shot: shot.frame == 2), tmp_path / "written", "smplpix")
    picture = read_image(tmp_path / "written" / "train" / "output" / "00001.png")
    assert picture.shape == (300, 160, 3) and (picture[240:] == 255).all()


def test_smplpix_wants_a_fitted_body(tmp_path, capsys):
    capture = prepare(write_easymocap(tmp_path / "source", range(2)), tmp_path / "capture")
    assert main(["convert", str(capture.path), str(tmp_path / "written"), "--format", "smplpix"]) == 2
    complaint = capsys.readouterr().err
    assert f"python -m anr_core fit {capture.path}" in complaint and complaint.count("\n") == 1
    assert not (tmp_path / "written").exists()
