"""A video prepared as Sun et al. do."""

import json
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from anr_core.capture.readers import dynamic_texture, find_reader
from anr_core.capture.readers.dynamic_texture import read_flow, read_texture
from anr_core.prepare import prepare
from anr_core.skeleton import BODY25

H, W = 12, 8


def save(file, array):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(array)).save(file)


def flo(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape[:2]
    file.write_bytes(struct.pack("<fii", 202021.25, width, height) + values.astype("<f4").tobytes())


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "dance1"
    columns, rows = {"left": 3, "right": 1}, {"nose": 1, "eye": 1, "ear": 1, "neck": 2, "shoulder": 2.5,
                                              "elbow": 4, "wrist": 5.5, "hip": 6, "knee": 8}
    points = np.array([[columns.get(name.split("_")[0], 2), rows.get(name.split("_")[-1], 11), 0.9]
                       for name in BODY25.names])  # what has no row is a foot
    for frame in (7, 8, 9):
        save(folder / "dance1" / f"{frame:06d}.png", np.full((H, W, 3), frame))
        iuv = np.stack([np.full((H, W), frame), np.full((H, W), 100), np.full((H, W), 200)], -1)
        save(folder / "densepose" / f"frame{frame}_IUV.png", iuv[..., ::-1])  # as OpenCV writes it
        save(folder / "mask" / f"{frame}.png", 255 * (np.arange(W) < 4) * np.ones((H, 1)))
        person = {"pose_keypoints_2d": points.ravel().tolist()}
        (folder / "openpose_json").mkdir(exist_ok=True)
        (folder / "openpose_json" / f"{frame}_keypoints.json").write_text(json.dumps({"people": [person]}))
        for half, shade in (("123", 1), ("456", 2)):
            save(folder / "LaplaceProj" / half / f"{frame}.png", np.full((H, W, 3), 10 * frame + shade))
        if frame < 9:
            flo(folder / "flow" / f"{frame}.flo", np.full((H, W, 2), [frame, -0.5]))
            flo(folder / "flow_inv" / f"{frame}.flo", np.full((H, W, 2), [-frame, 0.5]))
    save(folder / "bg.jpg", np.full((H, W, 3), 77))
    save(folder / "texture.jpg", np.zeros((12, 8, 3)))
    return folder


def test_a_prepared_video_becomes_a_capture(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture", fps=24)
    assert "format dynamic-texture" in capsys.readouterr().out
    assert [shot.frame for shot in capture.shots] == [7, 8, 9] and capture.fps == 24
    assert capture.registration is None and capture.uncalibrated == {"camera"}
    assert capture.background("camera").mean() * 255 == pytest.approx(77, abs=1)
    assert (capture.views(frames=[8])[0].mask[0, 0] == (np.arange(W) < 4)).all()
    first, second, _ = capture.shots
    assert (capture.truth(second, "iuv") == [8, 100, 200]).all()
    # file 7 leads from frame 7 to 8: what frame 8 has is the way from the frame before, and back to it
    assert (capture.truth(second, "flow") == [7, -0.5]).all()
    assert (capture.truth(second, "flow_inv") == [-7, 0.5]).all()
    assert (capture.truth(second, "laplace")[0, 0] == [81, 81, 81, 82, 82, 82]).all()
    with pytest.raises(ValueError, match="holds no 'flow'"):
        capture.truth(first, "flow")
    assert capture.skeleton in ("body25", "body25b") and len(capture.keypoints) == 3


def test_iuv_may_begin_with_the_part(source):
    for file in (source / "densepose").iterdir():
        with Image.open(file) as picture:
            save(file, np.array(picture)[..., ::-1])
    assert all((take.truth["iuv"][0, 0] == [take.frame, 100, 200]).all()
               for take in dynamic_texture.read(source).takes)


def test_a_textures_parts_go_down_and_then_right_and_v_goes_down_in_what_is_kept(tmp_path):
    """Of parts of 2 x 2 pixels, part 6 begins the second column; its last row is its first."""
    picture = np.arange(12 * 8).reshape(12, 8, 1).repeat(3, 2)
    save(tmp_path / "texture.png", picture)
    parts = read_texture(tmp_path / "texture.png")
    assert parts.shape == (24, 2, 2, 3)
    assert parts[0, :, :, 0].tolist() == [[8, 9], [0, 1]] and parts[1, 1, 0, 0] == 16
    assert parts[6, :, :, 0].tolist() == [[10, 11], [2, 3]]


def test_what_is_missing_is_told(source):
    for name in ("flow", "flow_inv", "LaplaceProj", "mask"):
        shutil.rmtree(source / name)
    (source / "bg.jpg").unlink()
    footage = dynamic_texture.read(source)
    takes = list(footage.takes)
    assert takes[0].mask is None and set(takes[1].truth) == {"iuv"} and not footage.backgrounds
    assert {"flow/ is missing or empty.", "mask/ is missing or empty."} < set(footage.notes)
    assert find_reader(source)[0] == "dynamic-texture"


@pytest.mark.parametrize("content", [b"", b"PIEH", struct.pack("<fii", 202021.25, 2, 2) + bytes(31),
                                     struct.pack("<fii", 1.0, 1, 1) + bytes(8),
                                     struct.pack("<fii", 202021.25, -1, -1) + bytes(8),
                                     struct.pack("<fii", 202021.25, 2**30, 2**30)])
def test_broken_flow_is_refused(tmp_path, content):
    (tmp_path / "x.flo").write_bytes(content)
    with pytest.raises(ValueError, match="x.flo is no whole .flo"):
        read_flow(tmp_path / "x.flo")


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lambda f: (f / "mask" / "8.png").unlink(), "mask holds 2 files, expected 3"),
    (lambda f: (f / "flow" / "8.flo").unlink(), "flow holds 1 files, expected 2"),
    (lambda f: flo(f / "flow" / "8.flo", np.full((H, W, 2), np.nan)), "8.flo has flow that is NaN"),
    (lambda f: save(f / "texture.jpg", np.zeros((9, 8, 3))), "texture.jpg is 8x9 pixels, expected 4 x 6"),
    (lambda f: save(f / "mask" / "8.png", np.full((3, 3), 255)), "mask of frame 8 is 3x3 pixels"),
    (lambda f: save(f / "densepose" / "frame8_IUV.png", np.full((H, W, 3), 90)), "has a part 90"),
    (lambda f: save(f / "densepose" / "frame8_IUV.png", np.zeros((3, 3, 3))), "frame8_IUV.png is 3x3 pixels"),
    (lambda f: (f / "openpose_json" / "8_keypoints.json").write_text("{"), "8_keypoints.json is not whole"),
    (lambda f: (f / "dance1" / "000008.png").write_bytes(b"\x89PNG"), "000008.png can't be read"),
    (lambda f: shutil.rmtree(f / "dance1"), "has no frames"),
])
def test_broken_files_are_refused_in_one_line(source, tmp_path, spoil, complaint):
    spoil(source)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint) as refused:
        prepare(source, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
