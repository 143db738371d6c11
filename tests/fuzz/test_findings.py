"""What fuzzing has found, each once and by name."""

import json
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from anr_core.avatars import configure
from anr_core.avatars.run import load_avatar
from anr_core.body.anny import AnnyBody
from anr_core.body.npz import read_npy, read_npz
from anr_core.body.pickles import read_pickle, unpickle
from anr_core.body.smpl import read_model, read_uv
from anr_core.capture import load_capture
from anr_core.capture.archives import unpack
from anr_core.capture.pictures import picture_channels, picture_size, read_mask
from anr_core.capture.readers.arrays import entry
from anr_core.capture.readers.openpose import read_keypoint_files
from anr_core.capture.readers.pose2sim import read_calibration
from anr_core.cli.options import frame_list, read_settings
from anr_core.motion import read_motion, retarget
from anr_core.telling import LONGEST_ERROR, brief
from anr_core.training import train
from anr_core.training.page import read_rows
from anr_core.training.record import read_lines
from tests.capture.readers.small_datasets import make_zju
from tests.fuzz.claim import LONGEST
from tests.motion.made_up import bvh_text, walk

HUGE = 10**400  # JSON has such numbers, and no float does


def written(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.mark.parametrize("content", [
    [{"Rh": [[0, 0, HUGE]], "Th": [[0, 0, 0]], "poses": [[0] * 72]}] * 2, {"Frames": [[HUGE] * 44]}])
def test_a_motions_numbers_beyond_any_float_are_told(content, tmp_path):
    with pytest.raises(ValueError, match=r"\A[^\n]*motion.json has [^\n]*\Z"):
        read_motion(written(tmp_path / "motion.json", content))


def test_a_persons_number_may_be_no_number(tmp_path):
    people = {"annots": [{"personID": [1], "keypoints": [[1, 2, 0.5]] * 17}]}
    points, skeleton = read_keypoint_files({0: written(tmp_path / "0.json", people)}, None)
    assert skeleton == "coco17" and points[0].shape[1] == 3
    people["annots"][0]["keypoints"] = [[HUGE, 2, 0.5]] * 17
    with pytest.raises(ValueError, match="0.json: keypoints are not x, y and confidence"):
        read_keypoint_files({0: written(tmp_path / "0.json", people)}, None)


def test_settings_that_are_deep_or_of_strange_names_are_told_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"\A[^\n]*a.json is no valid JSON [^\n]*\Z"):
        read_settings(written(tmp_path / "a.json", '{"width": ' + "[" * 100_000))
    with pytest.raises(ValueError, match=r"\Asetting '', 'a\\nb' is unknown"):
        configure(**{"a\nb": 1, "": 2})
    with pytest.raises(ValueError, match=r"\Asetting s{,40} \.\.\. s{,40} is unknown"):
        configure(**{"s" * 5000: 1})
    for setting in ("system", "preset", "projection"):
        with pytest.raises(ValueError, match=rf"\A{setting} 's{{,40}}\.\.\.s{{,40}}' is unknown"):
            configure(**{setting: "s" * 5000})


def test_a_motions_ragged_entries_and_long_words_are_told_in_a_line_that_names_the_file(tmp_path):
    ragged = [{"Rh": [[0, 0, 0]], "Th": [[0, 0, 0]], "poses": [[0] * 72, [0]]}]
    with pytest.raises(ValueError, match=r"\A[^\n]*motion.json has entries of different lengths"):
        read_motion(written(tmp_path / "motion.json", ragged))
    for text in (f"HIERARCHY\n{'1' * 5000}\n", f"HIERARCHY\nROOT a\n{{\nCHANNELS 1 {'1' * 5000}\n"):
        with pytest.raises(ValueError, match=r"\A[^\n]{,500}\Z"):
            read_motion(written(tmp_path / "walk.bvh", text + "MOTION\n"))


def test_a_skeleton_that_matches_nothing_is_told_with_its_file(tmp_path):
    text = bvh_text(walk()).replace("Right", "Wrong")
    motion = read_motion(written(tmp_path / "walk.bvh", text))
    with pytest.raises(ValueError, match=r"\A[^\n]*walk.bvh: The motion's joints can't be matched: no"):
        retarget(motion, AnnyBody())


def test_a_calibrations_numbers_are_told_with_their_file(tmp_path):
    from anr_core.capture.readers.colmap import _read_lenses, read_photographs
    from anr_core.capture.readers.zju import _calibrations

    for size in ("nan 4", "inf 4"):
        file = written(tmp_path / "cameras.txt", f"1 PINHOLE {size} 5 5 2 2\n")
        with pytest.raises(ValueError, match=r"cameras.txt: camera 1 lacks parameters of PINHOLE, or"):
            _read_lenses(file)
    written(tmp_path / "cameras.txt", "1 PINHOLE 4 4 5 5 2 2\n")
    written(tmp_path / "images.txt", f"1 1 0 0 0 0 0 0 {'1' * 5000} a.png\n\n")
    with pytest.raises(ValueError, match=r"\A[^\n]*images.txt: a.png is of camera 1+ ... 1+, [^\n]{,200}\Z"):
        read_photographs(tmp_path)
    for wrong in (3, np.float64(3), np.array(3)):
        with pytest.raises(ValueError, match=r"annots.npy: K, D, R and T of cams are not lists"):
            _calibrations({"cams": {"K": wrong, "D": [1], "R": [1], "T": [1]}}, tmp_path / "annots.npy")


def test_a_subjects_rows_and_parameters_are_of_one_kind(tmp_path):
    from anr_core.capture.readers.zju import read

    make_zju(tmp_path, count=1, frames=2)
    np.save(tmp_path / "params" / "1.npy", {"poses": np.zeros((1, 69)), "shapes": np.full((1, 10), 0.5),
                                            "Rh": np.zeros((1, 3)), "Th": np.zeros((1, 3))})
    with pytest.raises(ValueError, match=r"params mixes poses of the shapes \(69,\), \(72,\)"):
        read(tmp_path)
    annotations = np.load(tmp_path / "annots.npy", allow_pickle=True).item()
    np.save(tmp_path / "annots.npy", annotations | {"ims": np.array(3)}, allow_pickle=True)
    with pytest.raises(ValueError, match=r"annots.npy"):
        read(tmp_path)


def test_a_matrix_of_a_strange_size_is_told_in_a_line_of_moderate_length(tmp_path):
    from anr_core.capture.readers.easymocap import read_yaml

    for size in ("1" * 4000, "1" * 6000):
        text = f"K_1: !!opencv-matrix\n rows: 3\n cols: {size}\n dt: d\n data: [1, 2]\n"
        with pytest.raises(ValueError, match=r"\A[^\n]*intri.yml: K_1 is no matrix of 3 x 1+[^\n]{,300}\Z"):
            read_yaml(written(tmp_path / "intri.yml", text))


def test_a_picture_for_which_there_is_no_memory_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    Image.new("L", (4, 4)).save(tmp_path / "mask.png")
    monkeypatch.setattr("PIL.Image.open", refuse)
    for read in (read_mask, picture_channels, picture_size):
        with pytest.raises(ValueError, match=r"mask.png can't be read as a picture \(it asks for more"):
            read(tmp_path / "mask.png")


def test_a_shot_without_its_mesh_is_told_with_the_file(small_capture, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    with np.load(tmp_path / "capture" / "body.npz") as file:
        arrays = dict(file)
    arrays["frames"] = arrays["frames"] + 200 * (arrays["frames"] == arrays["frames"].max())
    np.savez(tmp_path / "capture" / "body.npz", **arrays)
    with pytest.raises(ValueError, match=r"body.npz has no mesh of frame \d+\. Prepare it again"):
        load_capture(tmp_path / "capture")


def test_a_camera_of_a_strange_shape_is_told_with_its_file(small_capture, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    index = json.loads((tmp_path / "capture" / "capture.json").read_text())
    camera = next(iter(index["cameras"].values()))
    camera["R"] = [camera["R"]]
    written(tmp_path / "capture" / "capture.json", index)
    with pytest.raises(ValueError, match=r"\A[^\n]*capture.json has a broken camera [^\n]* \(Camera.R has"):
        load_capture(tmp_path / "capture")


def test_a_runs_damage_is_told_with_its_file(small_capture, tmp_path):
    run = tmp_path / "run"
    list(train(small_capture, run, "static", config={"texture_size": 32, "size": 64}))
    config = json.loads((run / "config.json").read_text())
    written(run / "config.json", config | {"body": {"model": 1}})
    with pytest.raises(ValueError, match=r"\A[^\n]*config.json: The body 1 is unknown"):
        load_avatar(run)
    written(run / "config.json", config | {"body": {"model": "anny", "shape": {"s" * 9000: 1}}})
    with pytest.raises(ValueError, match=r"\A[^\n]*config.json: The description of the body, [^\n]{,600}\Z"):
        load_avatar(run)
    written(run / "config.json", config | {"version": "a\nb" * 100})
    with pytest.raises(ValueError, match=r"\A[^\n]*config.json is of version 'a\\nb[^\n]{,120}\Z"):
        load_avatar(run)
    written(run / "config.json", config)
    tensors = safetensors.torch.load_file(run / "checkpoint.safetensors")
    tensors["texels"][1] = torch.nan
    safetensors.torch.save_file(tensors, run / "checkpoint.safetensors")
    with pytest.raises(ValueError, match=r"checkpoint.safetensors doesn't hold .*texels is not finite"):
        load_avatar(run)


def test_a_models_arrays_fit_each_other(tmp_path):
    arrays = {"v_template": np.zeros((4, 3)), "shapedirs": np.zeros((4, 3, 10)), "weights": np.ones((4, 2)),
              "posedirs": np.zeros((4, 3, 9)), "f": np.array([[0, 1, 2]]), "J_regressor": np.ones((2, 4)),
              "kintree_table": np.array([[-1, 0], [0, 1]])}
    np.savez(tmp_path / "whole.npz", **arrays)
    assert read_model(tmp_path / "whole.npz").keys() == arrays.keys()
    for name, wrong in (("v_template", np.zeros((0, 3))), ("weights", np.ones((3, 2))),
                        ("f", np.array([["a"] * 3])), ("posedirs", np.zeros((4, 3, 8))),
                        ("J_regressor", np.full((2, 4), np.nan)),
                        ("kintree_table", np.array([[-1, 1], [0, 1]]))):
        np.savez(tmp_path / "wrong.npz", **arrays | {name: wrong})
        with pytest.raises(ValueError, match=f"wrong.npz can't be read as a body model: {name}"):
            read_model(tmp_path / "wrong.npz")


@pytest.mark.parametrize("text", [b"\xcd\xff", b"vt 0 x\nf 1/1 2/2 3/3\n", b"f 1/1 2/2 %040d/1\n" % 10**39])
def test_a_broken_uv_file_is_named(text, tmp_path):
    (tmp_path / "uv.obj").write_bytes(text)
    with pytest.raises(ValueError, match="uv.obj"):
        read_uv(tmp_path / "uv.obj", np.array([[0, 1, 2]]))


def test_names_out_of_a_file_stay_in_one_line_of_moderate_length(tmp_path):
    with pytest.raises(ValueError, match=r"\A[^\n]{1,900}\Z"):
        entry({"a\nb": 1, "x" * 10_000: 2}, "Th", tmp_path / "0.npy")
    with pytest.raises(ValueError, match=r"\A[^\n]{1,900}\Z"):
        unpickle(b"c" + b"num" * 10_000 + b"\nx\n.", "0.bin")
    told = brief("a\n" * 10_000 + "\x1b[2J", LONGEST_ERROR)
    assert len(told) <= LONGEST_ERROR and told.isprintable()


@pytest.mark.parametrize("change", [
    {"step": "<script>"}, {"seconds": None}, {"stage": 3}, {"people": [[["truth", "\"><script>.jpg"]]]},
    {"people": [[["truth", "../../a.jpg"]]]}, {"people": [[[7, "a.jpg"]]]}, {"people": 7}, {"people": []},
    {"people": {"": 1}}, {"people": [""]}, {"evil": 1}])
def test_a_page_takes_over_no_row_but_its_own(change, tmp_path):
    row = {"step": 4, "stage": "<b>", "seconds": 1.5, "people": [[["truth", "0000004-0-truth.jpg"]]]}
    written(tmp_path / "page" / "rows.json", [row])
    assert len(read_rows(tmp_path)) == 1
    written(tmp_path / "page" / "rows.json", [row | change])
    assert read_rows(tmp_path) == []


def test_rows_of_a_page_are_of_the_same_people(tmp_path):
    row = {"step": 4, "stage": "a", "seconds": 1.5, "people": [[["truth", "0000004-0-truth.jpg"]]]}
    written(tmp_path / "page" / "rows.json", [row, row])
    assert len(read_rows(tmp_path)) == 2
    written(tmp_path / "page" / "rows.json", [row, row | {"people": 2 * row["people"]}])
    assert read_rows(tmp_path) == []


def test_metrics_are_lines_of_numbers(tmp_path):
    lines = ['{"step": 1, "stage": "a", "l1": 0.5, "x": "<b>", "y": 1e999}\n', "[" * 50_000 + "\n", "null\n",
             '{"step": "<b>", "stage": "a"}\n', '{"step": 2, "stage": "a"']
    written(tmp_path / "metrics.jsonl", "".join(lines))
    assert read_lines(tmp_path / "metrics.jsonl") == [{"step": 1, "stage": "a", "l1": 0.5}]


def test_a_palette_that_is_lost_is_told(tmp_path):
    file = tmp_path / "0001.png"
    Image.new("P", (4, 4)).save(file)
    data = file.read_bytes()
    begin, end = data.index(b"PLTE") - 4, data.index(b"IDAT") - 4
    file.write_bytes(data[:begin] + data[end:])
    with pytest.raises(ValueError, match="0001.png can't be read as a picture"):
        picture_channels(file)


LONG = "x" * 100_000
MANY = {f"{LONG}{index}": index for index in range(50)}


def _capture_of(small_capture, tmp_path, change):
    index = json.loads((small_capture.path / "capture.json").read_text())
    change(index)
    written(tmp_path / "capture.json", index)
    load_capture(tmp_path)


def _archive_of(name, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        out.addfile(tarfile.TarInfo(name))
    unpack(tmp_path / "a.tar", tmp_path / "a")


def _npz_of(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


@pytest.mark.parametrize("read", [
    *(lambda capture, here, change=change: _capture_of(capture, here, change) for change in (
        lambda index: index.update(version=LONG), lambda index: index.update(fps=[LONG] * 99),
        lambda index: index.update(person=MANY), lambda index: index.update(up=[[LONG]]),
        lambda index: index["cameras"].update(MANY), lambda index: index["cameras"].update({LONG: {"K": 1}}),
        lambda index: index["backgrounds"].update({LONG: f"../{LONG}"}),
        lambda index: index["shots"][0].update(MANY), lambda index: index["shots"][0].update(frame=HUGE),
        lambda index: index["shots"][0].update(image=LONG), lambda index: index.update(keypoints=LONG),
        lambda index: index.update(body={"model": LONG}), lambda index: index.update(body=MANY))),
    *(lambda capture, here, name=name: _archive_of(name, here) for name in (f"../{LONG}", f"a/{LONG}")),
    lambda capture, here: read_motion(written(here / "a.bvh", f"HIERARCHY\n{LONG}\n")),
    lambda capture, here: read_motion(written(here / "a.bvh", f"HIERARCHY\nROOT {LONG}\n{{\n}}\n" * 9)),
    lambda capture, here: read_motion(written(here / "a.bvh", f"HIERARCHY\nROOT a\n{{\n}}\nMOTION\n"
                                                              f"Frames: {10**999}\nFrame Time: 0.1\n")),
    lambda capture, here: read_motion(_npz_of(here, **{name[-200:]: np.zeros(3) for name in MANY})),
    lambda capture, here: read_motion(_npz_of(here, poses=np.zeros((1,) * 32))),
    lambda capture, here: read_motion(_npz_of(here, poses=np.zeros(2, [(LONG[:9000], "f4")]))),
    lambda capture, here: read_calibration(written(here / "a.toml", f"[{LONG}]\nsize = [1, 2]\n")),
    lambda capture, here: read_calibration(written(here / "a.toml", f"{LONG}\n")),
    lambda capture, here: unpickle(b"\x80\4c" + LONG.encode() + b"\nx\n.", "a.pkl"),
    lambda capture, here: configure(**MANY), lambda capture, here: configure(system=LONG),
    lambda capture, here: configure(width=MANY), lambda capture, here: entry(MANY, LONG, here / "a.npy"),
    lambda capture, here: frame_list(f"{LONG},1", range(9)),
    lambda capture, here: capture.views(cameras=MANY),
    lambda capture, here: capture.views(frames=range(10**5)),
])
def test_a_message_is_no_longer_than_is_claimed(read, small_capture, tmp_path):
    with pytest.raises(ValueError, match=rf"\A[^\n]{{20,{LONGEST}}}\Z"):
        read(small_capture, tmp_path)


def test_rows_of_nothing_are_few(tmp_path):
    np.save(tmp_path / "0.npy", np.zeros((10**12, 0)))
    np.savez(tmp_path / "0.npz", a=np.zeros((0, 10**12)))
    data = pickle.dumps(np.zeros((10**12, 0)), 2)
    for name, read in (("0.npy", lambda: read_npy(tmp_path / "0.npy")),
                       ("0.npz", lambda: read_npz(tmp_path / "0.npz")),
                       ("0.pkl", lambda: unpickle(data, "0.pkl"))):
        with pytest.raises(ValueError, match=rf"{name} can't be read .an array is of the shape"):
            read()
    assert unpickle(pickle.dumps(np.zeros((1000, 0, 3))), "0.pkl").shape == (1000, 0, 3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_has_letters_that_there_are(order, tmp_path):
    words = np.array([["cam01", "\U0010ffff"]], f"{order}U5")
    one = "1".encode("utf-32le" if order == "<" else "utf-32be")
    np.save(tmp_path / "a.npy", words)
    held = {"a.npy": (tmp_path / "a.npy").read_bytes(), "list.pkl": pickle.dumps([words], 2),
            "array.pkl": pickle.dumps(words, 2), "scalar.pkl": pickle.dumps(words[0, 0], 2)}
    for name, content in held.items():
        file = tmp_path / name
        read = read_npy if file.suffix == ".npy" else read_pickle
        file.write_bytes(content)
        read(file)
        assert content.count(one) == 1
        file.write_bytes(content.replace(one, b"wwww"))
        with pytest.raises(ValueError, match=f"{name} can't be read .its text has letters that there"):
            read(file)


def test_a_calibration_whose_axes_fall_together_is_told(tmp_path):
    from anr_core.capture.readers.calibration import checked

    whole = np.eye(3), np.zeros(3), np.zeros(0)
    assert checked("1", tmp_path, [[9, 0.5, 4], [0, 9, 4], [0, 0, 1]], *whole).K[0, 1] == 0.5
    for K in (np.full((3, 3), 2.0**31), [[9, 9, 4], [9, 9, 4], [0, 0, 1]],
              [[1e-300, 0, 4], [0, 9, 4], [0, 0, 1]]):
        with pytest.raises(ValueError, match="camera 1 needs finite K, R, t and distortion"):
            checked("1", tmp_path, K, *whole)


@pytest.mark.parametrize("name", ["../../outside", "x/" * 2000, "cam99"])
def test_backgrounds_are_of_cameras_that_are_described(name, small_capture, tmp_path):
    with pytest.raises(ValueError, match="is broken .there is a background of camera '.*', which is not"):
        _capture_of(small_capture, tmp_path, lambda index: index["backgrounds"].update({name: "a.jpg"}))
