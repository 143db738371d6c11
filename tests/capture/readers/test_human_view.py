"""HumanViewSynthesis's databases of Human3.6M and Panoptic."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from anr_core.capture.readers import find_reader, human_view
from anr_core.capture.readers.timing import Span
from anr_core.prepare import prepare
from anr_core.skeleton import COCO17
from anr_core.skeleton.detailed import PANOPTIC
from tests.capture.readers.small_datasets import SIZE, encoded, make_human_view, standing_cameras, write_lmdb

pytest.importorskip("lmdb")  # writes what is read here


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h36m") / "S1-Posing"
    make_human_view(folder)
    return folder


def test_human36m_becomes_a_capture(source):
    footage = human_view.read(source)
    takes = {(take.camera, take.frame): take for take in footage.takes}
    assert len(takes) == 6 and footage.fps == 50 and footage.licence.startswith("Human3.6M")
    for camera, made in zip(footage.cameras.values(), standing_cameras(), strict=True):
        torch.testing.assert_close(camera.t, made.t)
        assert camera.size == SIZE
    take = takes["01", 2]
    assert take.image.shape == (*SIZE, 3) and set(np.unique(take.mask)) == {0, 255}
    name = COCO17.names.index
    assert take.keypoints[name("left_hip")].tolist() == [4, 4, 1]  # Human3.6M's fifth joint
    assert take.keypoints[name("nose"), 2] == 0  # which of neck and nose it has, depends on the detector
    assert footage.foreign["joints"].shape == (2, 17, 3) and footage.foreign["frames"].tolist() == [1, 2]
    assert footage.joints.skeleton == "human36m" and list(footage.joints.points) == [1, 2]
    assert footage.joints.points[2].shape == (17, 4) and not footage.joints.lifted


def test_panoptic_is_prepared_with_masks_and_the_bodys_keypoints(tmp_path, capsys):
    make_human_view(tmp_path / "source", panoptic=True)
    capture = prepare(tmp_path / "source", tmp_path / "capture")
    assert "format human-view-synthesis" in capsys.readouterr().out
    assert capture.fps == 29.97 and capture.licence.startswith("CMU Panoptic Studio")
    assert capture.skeleton == "body25b"
    assert capture.keypoints["00", 1][24].tolist() == pytest.approx([24, 24, 0.1])
    assert capture.views(cameras=["00"], frames=[1])[0].mask.sum() > 300
    with np.load(capture.path / "foreign.npz") as kept:
        assert kept["joints"].shape == (2, 135, 4)
        whole = kept["joints"][0]
    assert capture.joints.skeleton == "panoptic"
    points, name = next(iter(capture.joints.points.values())).numpy(), PANOPTIC.names.index
    np.testing.assert_allclose(points[name("left_index4")], whole[25 + 7], rtol=1e-6)
    np.testing.assert_allclose(points[name("right_brow1")], whole[65 + 17], rtol=1e-6)  # after the jaw's 17
    shoulders = whole[[COCO17.names.index(f"{side}_shoulder") for side in ("left", "right")]]
    np.testing.assert_allclose(points[name("sternum"), :3], shoulders[:, :3].mean(0), rtol=1e-6)


def test_keys_of_every_protocol_are_found(copied):
    for protocol in range(6):
        path = copied / "Databases" / "Masks" / "SOLO" / "00.lmdb"
        shutil.rmtree(path)
        write_lmdb(path, {1: b"mask", 70000: b"mask"}, protocol)
        with human_view.database(path) as masks:
            assert masks.keys == {1, 70000} and masks.data(70000) == b"mask"


def test_what_is_missing_is_left_out(copied):
    shutil.rmtree(copied / "Databases" / "Masks")
    shutil.rmtree(copied / "Databases" / "Poses")
    footage = human_view.read(copied, Span(end=0.04))
    assert [(take.frame, take.mask, take.keypoints) for take in footage.takes] == 2 * [
        (0, None, None), (1, None, None)]
    assert footage.keypoints is None and footage.licence == "not stated"
    assert find_reader(copied)[0] == "human-view-synthesis"


class Evil:
    def __reduce__(self):
        return eval, ("1",)


def replaced(folder, name, entries):
    shutil.rmtree(folder / "Databases" / name)
    write_lmdb(folder / "Databases" / name, entries)


def truncated(folder, name, share):
    file = folder / "Databases" / name / "data.mdb"
    file.write_bytes(file.read_bytes()[:int(share * file.stat().st_size)])


def cameras(folder, change):
    content = json.loads((folder / "cameras.json").read_text())
    change(content)
    (folder / "cameras.json").write_text(json.dumps(content))


POSES, IMAGES, SPACE = "Poses/2D/CPN/00.lmdb", "Images/00.lmdb", "Poses/3D/Groundtruth.lmdb"


@pytest.mark.parametrize(("spoil", "complaint"), [
    *((lambda f, share=share, name=name: truncated(f, name, share), "no whole LMDB")
      for share in (0, 0.001, 0.01, 0.3, 0.5, 0.9) for name in (IMAGES, POSES, SPACE)),
    (lambda f: (f / "Databases" / IMAGES / "data.mdb").write_bytes(bytes(2**16)), "no whole LMDB"),
    (lambda f: replaced(f, POSES, {0: pickle.dumps(Evil())}), "frame 0 can't be read .it wants .*eval"),
    (lambda f: replaced(f, POSES, {0: pickle.dumps(torch.zeros(16, 2, 1))}), r"the shape \(16, 2, 1\)"),
    (lambda f: replaced(f, POSES, {0: pickle.dumps(torch.full((17, 2, 1), torch.nan))}), "34 values .* NaN"),
    (lambda f: replaced(f, SPACE, {0: pickle.dumps(None)}), "no array of numbers|the shape"),
    (lambda f: replaced(f, IMAGES, {0: b"no picture"}), "frame 0 can't be read as a picture"),
    (lambda f: replaced(f, IMAGES, {}), "its keys are no frame numbers"),
    (lambda f: replaced(f, IMAGES, {"first": b""}), "its keys are no frame numbers"),
    (lambda f: cameras(f, lambda c: c.pop("00")), "cameras.json has no 00"),
    (lambda f: cameras(f, lambda c: c["00"].pop("resolution")), "has no resolution"),
    (lambda f: cameras(f, lambda c: c["00"].update(resolution=[1, 2, 3])), "resolution of 00 has the shape"),
    (lambda f: (f / "cameras.json").unlink(), "cameras.json is missing"),
])
def test_broken_databases_are_refused_in_one_line(copied, tmp_path, spoil, complaint):
    spoil(copied)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint) as refused:
        prepare(copied, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()


def test_frames_are_the_same_of_all_views(copied):
    shutil.rmtree(copied / "Databases" / "Images" / "01.lmdb")
    picture = encoded(torch.rand(3, *SIZE), "RGB")
    write_lmdb(copied / "Databases" / "Images" / "01.lmdb", {1: picture})
    footage = human_view.read(copied, Span(fps=25))
    assert [(take.camera, take.frame) for take in footage.takes] == [("00", 0), ("00", 2)]
    assert footage.notes[0].startswith("01 has none of the frames")
