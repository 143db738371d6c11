"""What reading the parsers has found, with the eyes of somebody who wants to break them."""

import io
import json
import pickle
import shutil
import struct
import tarfile
import zlib

import numpy as np
import pytest
import torch

from anr_core.avatars import configure
from anr_core.body.anny import AnnyBody
from anr_core.body.pickles import unpickle
from anr_core.capture import load_capture
from anr_core.capture.archives import BrokenArchive, unpack
from anr_core.capture.readers.arrays import numbers
from anr_core.capture.readers.clips import natural
from anr_core.capture.readers.easymocap import read as read_easymocap
from anr_core.capture.readers.easymocap import read_yaml
from anr_core.capture.readers.lmdb import open_entries
from anr_core.capture.readers.neuman import _stacked
from anr_core.capture.readers.neuman import read as read_neuman
from anr_core.capture.readers.pose2sim import read_calibration
from anr_core.capture.readers.registered import read as read_registered
from anr_core.capture.readers.zju import _rows
from anr_core.capture.writers import convert
from anr_core.motion import read_motion, retarget
from anr_core.viewer.state import State
from tests.capture.readers.small_datasets import make_neuman
from tests.fuzz.claim import bounded
from tests.fuzz.test_findings import HUGE, written
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture

# paths that lead out


def test_what_convert_wrote_is_read_as_a_strangers_capture(small_capture, tmp_path):
    folder = tmp_path / "converted"
    convert(small_capture, folder, "easymocap")
    assert len(list(read_easymocap(folder).takes)) == len(small_capture.shots)
    index = json.loads((folder / "anr_core" / "capture.json").read_text())
    secret = written(tmp_path / "secret.npz", "of another folder")
    for name in ("truth", "certain"):
        for path in (str(secret), "../../secret.npz"):
            changed = json.loads(json.dumps(index))
            changed["shots"][0][name] = path
            written(folder / "anr_core" / "capture.json", changed)
            with pytest.raises(ValueError, match=f"{name} of a shot is '.*', which is no path inside of the"):
                read_easymocap(folder)


def test_what_convert_wrote_of_other_frames_is_told(small_capture, tmp_path):
    convert(small_capture, tmp_path / "converted", "easymocap")
    file = tmp_path / "converted" / "anr_core" / "capture.json"
    index = json.loads(file.read_text())
    for entry in ({"frame": 77}, {"frame": 78, "registered": False}):
        index["shots"].append(index["shots"][0] | entry)
    written(file, index)
    with pytest.raises(ValueError, match=r"anr_core has no mesh or pose of frame 77, 78, of which"):
        read_easymocap(tmp_path / "converted")


def test_photographs_lie_in_their_folder(tmp_path):
    make_neuman(tmp_path / "scene", 2)
    file = tmp_path / "scene" / "sparse" / "images.txt"
    whole = file.read_text()
    for name in ("../00000.png", "/etc/00000.png", "a/00000.png"):
        written(file, whole.replace("00000.png", name))
        with pytest.raises(ValueError, match=f"images.txt has {name}, expected names like 00000.png"):
            read_neuman(tmp_path / "scene")


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "", "a" * 101, "a\nb"])
def test_cameras_are_called_as_folders_are(name, small_source, tmp_path):
    shutil.copytree(small_source, tmp_path / "source")
    file = tmp_path / "source" / "cameras.json"
    described = json.loads(file.read_text())
    described["cameras"][name] = next(iter(described["cameras"].values()))
    written(file, described)
    with pytest.raises(ValueError, match=r"\A[^\n]*cameras.json: a camera is called '.*', which can't be a"):
        read_registered(tmp_path / "source")


# few bytes that ask for much


def _pickled(parts: bytes) -> bytes:
    return b"\x80\x04" + parts + b"."


def test_a_pickle_makes_no_more_than_its_bytes_account_for():
    size = 10**6
    data = b"B" + struct.pack("<I", size) + b"a" * size + b"\x94"  # remembered as 0
    function = b"cnumpy.core.numeric\n_frombuffer\n\x94cnumpy\ndtype\n(X\2\0\0\0u1\x89\x88tR\x94"  # 1 and 2
    arguments = b"(h\0h\2J" + struct.pack("<I", size) + b"\x85X\1\0\0\0Ct\x94"  # 3
    once = _pickled(data + function + arguments + b"(h\1h\3Rl")
    assert len(unpickle(once, "whole")[0]) == size
    with pytest.raises(ValueError, match="many can't be read .it makes much of few bytes"):
        unpickle(_pickled(data + function + arguments + b"(" + b"h\1h\3R" * 5000 + b"l"), "many")


@pytest.mark.parametrize("parts, told", [
    (b"c_codecs\nencode\nX\1\0\0\0aX\x08\0\0\0punycode\x86R", "bytes are text in 'punycode'"),
    (b"}" + pickle.dumps(2**70, 2)[2:-1] + b"K\0s", "a key is a number of more than 64 bits"),
    (b"cnumpy\ndtype\n(X\xff\0\0\0" + b"a" * 255 + b"tR", "can't be read"),
])
def test_a_pickles_oddities_are_told(parts, told):
    with pytest.raises(ValueError, match=told):
        unpickle(_pickled(parts), "0.pkl")


@pytest.mark.parametrize("state", [
    {}, {"_shape": 3}, {"_shape": (10**9, 10**9)}, {"_shape": (2, 2), "data": 3},
    {"_shape": (2, 2), "data": [1.0], "indices": [7], "indptr": [0, 1, 1]}])
def test_a_broken_sparse_matrix_is_told(state):
    matrix = _pickled(b"cscipy.sparse.csc\ncsc_matrix\n)\x81" + pickle.dumps(state, 2)[2:-1] + b"b")
    with pytest.raises(ValueError, match="of a matrix is no array of numbers"):
        numbers(unpickle(matrix, "0.pkl"), (None, None), "of a matrix")


def test_the_keys_of_a_database_lie_beside_each_other(tmp_path):
    size, keys = 4096, 100
    page = bytearray(size)
    struct.pack_into("<HH", page, 10, 2, 16 + 2 * keys)  # a leaf of many nodes
    struct.pack_into(f"<{keys}H", page, 16, *range(300, 300 + 8 * keys, 8))
    page[300:300 + 8 * keys] = struct.pack("<4H", 0, 0, 0, 2000) * keys  # of keys that reach over the others
    meta = bytearray(size)
    struct.pack_into("<II", meta, 16, 0xBEEFC0DE, 1)
    struct.pack_into("<I", meta, 16 + 24, size)
    struct.pack_into("<QQQ", meta, 16 + 112, 2, 0, 0)
    (tmp_path / "data.mdb").write_bytes(bytes(meta + meta + page))
    with pytest.raises(ValueError, match="data.mdb is no whole LMDB database .its keys lie in one another"), \
            open_entries(tmp_path):
        pass


def test_an_hdf5_array_is_packed_in_pieces_that_fit_into_memory(tmp_path):
    h5py = pytest.importorskip("h5py")
    from anr_core.capture.readers.hdf5 import open_arrays

    with h5py.File(tmp_path / "a.hdf5", "w") as out:
        out.create_dataset("large", (2**20, 2**10), "f8", chunks=(2**16, 2**10), compression="gzip")
        out.create_dataset("long", (10**8,), "f8", chunks=(1000,))
    with open_arrays(tmp_path / "a.hdf5") as arrays:
        with pytest.raises(ValueError, match="a.hdf5: large can't be read .it is packed in pieces of"):
            arrays.row("large", 0)
        with pytest.raises(ValueError, match="a.hdf5: long has the shape .*, more than any video"):
            arrays.whole("long", (None,))


# motions


def _person():
    return {"id": 0, "Rh": [[0, 0, 0]], "Th": [[0, 0, 1]], "poses": [[0.0] * 72], "shapes": [[0.0] * 10]}


def test_a_gap_between_frames_is_filled_as_far_as_memory_goes(tmp_path):
    for frame in (0, 999_999_999_999):
        written(tmp_path / "walk" / f"{frame}.json", [_person()])
    with pytest.raises(ValueError, match=r"walk holds more than 100,000,000 numbers"):
        read_motion(tmp_path / "walk")
    written(tmp_path / "walk" / f"{'9' * 30}.json", [_person()])
    with pytest.raises(ValueError, match="is named by 9+, which is no number of a frame"):
        read_motion(tmp_path / "walk")


@pytest.mark.parametrize("content", [
    {"annots": 5}, {"annots": None}, {"annots": {"a": 1}}, [{"annots": 5}], [5], [[5]], [{"annots": [5]}],
    {"annots": "words"}])
def test_a_motions_people_are_lists(content, tmp_path):
    with pytest.raises(ValueError, match="motion.json: entry 0 has no Rh|motion.json holds no frames"):
        read_motion(written(tmp_path / "motion.json", content))


def test_a_slow_motion_takes_no_more_frames_than_fit(tmp_path):
    text = bvh_text(walk(0.2)).replace("Frame Time: ", "Frame Time: 9")
    motion = read_motion(written(tmp_path / "walk.bvh", text))
    with pytest.raises(ValueError, match="The motion has .* frames at 1000 fps, too many at once"):
        retarget(motion, AnnyBody(), fps=1000)
    seconds = text.partition("Frame Time: ")[2].split()[0]
    with pytest.raises(ValueError, match="walk.bvh has 0.0001 frames a second; expected 1 to 1000"):
        read_motion(written(tmp_path / "walk.bvh", text.replace(seconds, "10000")))


def _bvh(joints: int, frames: int, kind: str = "JOINT still") -> str:
    chain = f"{kind}\n{{\nOFFSET 0 1 0\n" * joints + "}\n" * joints
    return ("HIERARCHY\nROOT hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n" + chain
            + f"}}\nMOTION\nFrames: {frames}\nFrame Time: 0.1\n" + "0 0 0\n" * frames)


@pytest.mark.parametrize("joints, frames, told", [
    (5000, 1, "has 5001 joints; up to 2000 are read"), (1500, 1, "has 1501 joints, and 3 channels in all"),
    (90, 200_000, "holds more than 100,000,000 numbers")])
def test_joints_that_no_line_moves_are_few(joints, frames, told, tmp_path):
    with pytest.raises(ValueError, match=f"walk.bvh {told}"):
        read_motion(written(tmp_path / "walk.bvh", _bvh(joints, frames)))


def test_ends_in_ends_are_called_in_short(tmp_path):
    motion = read_motion(written(tmp_path / "walk.bvh", _bvh(50, 2, "End Site")))
    assert max(map(len, motion.names)) == len("hips end")


# numbers, and what isn't one


def test_a_calibrations_words_are_told_with_their_file(tmp_path):
    with pytest.raises(ValueError, match="intri.yml: H_01 is '-', which is no number"):
        read_yaml(written(tmp_path / "intri.yml", "H_01: -\n"))
    text = f"K_01: !!opencv-matrix\n  rows: {'9' * 40}\n  cols: 3\n  dt: d\n  data: [1]\n"
    with pytest.raises(ValueError, match="intri.yml: K_01 is no matrix of 9+ x 3 numbers"):
        read_yaml(written(tmp_path / "intri.yml", text))
    with pytest.raises(ValueError, match=r"\A[^\n]*Calib.toml is not whole TOML [^\n]{,200}\Z"):
        read_calibration(written(tmp_path / "Calib.toml", f"[a]\nsize = {'1' * 5000}\n"))


def test_names_of_any_digits_are_put_in_order():
    names = ["cam10", "²", "cam2", "1" * 5000, "7", "", "cam٣"]
    assert [name for name in sorted(names, key=natural) if name.startswith("cam")][:2] == ["cam2", "cam10"]


@pytest.mark.parametrize("change, told", [
    ({"K": [[0, 0, 1], [0, 1, 1], [0, 0, 1]]}, "K of camera .* has focal lengths that are not positive"),
    ({"R": [[0.0] * 3] * 3}, "R of camera .* is no rotation"),
    ({"R": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "R of camera .* is no rotation")])
def test_a_captures_cameras_can_take_pictures(change, told, small_capture, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    index = json.loads((tmp_path / "capture" / "capture.json").read_text())
    next(iter(index["cameras"].values())).update(change)
    written(tmp_path / "capture" / "capture.json", index)
    with pytest.raises(ValueError, match=f"capture.json is broken .{told}"):
        load_capture(tmp_path / "capture")


@pytest.mark.parametrize("text, told", [
    ('{"view": ' + "[" * 100_000, "This is no state or pose as the panel writes it"),
    (json.dumps({"view": {"azimuth": HUGE}}), "The view's azimuth is 1"),
    (json.dumps({"pose": {"root_translation": [HUGE, 0, 0]}}), "root_translation are no numbers"),
    (json.dumps({"pose": {"frame": 10**30}}), "frame is 1000"),
    (json.dumps({"x" * 9999: 1}), "The text holds 'xx"),
    (json.dumps({"pose": [[]] * 9}), "This is no pose")])
def test_a_pasted_state_is_read_or_refused_in_a_line(text, told):
    from anr_core.export.around import View

    like = State(View(), AnnyBody().rest_pose())
    with pytest.raises(ValueError, match=rf"\A[^\n]{{,100}}{told}[^\n]{{,300}}\Z"):
        State.of_text(text, like)


def test_a_comparison_may_be_no_comparison(tmp_path):
    from anr_core.evaluation.comparison import read_comparison

    for content in ([], 3, {"version": "x" * 9999}):
        written(tmp_path / "compare.json", content)
        with pytest.raises(ValueError, match=r"\A[^\n]*compare.json is of version [^\n]{,200}\Z"):
            read_comparison(tmp_path)


# what lies in a capture beside


def test_a_lifter_of_strange_sizes_is_told(tmp_path):
    from safetensors.torch import save_file

    from anr_core.prepare.lifter import kept_lifter
    from anr_core.skeleton import COCO17

    for tensors in ({"mean": torch.zeros(17, 3)}, {"regressor.begin.0.weight": torch.zeros(2**40, 0)},
                    {"regressor.begin.0.weight": torch.zeros(512, 1), "mean": torch.zeros(3)}):
        save_file(tensors, tmp_path / "lifter.safetensors", {"about": "{}"})
        with pytest.raises(ValueError, match=r"\A[^\n]*lifter.safetensors can't be read [^\n]{,400}\Z"):
            kept_lifter(tmp_path / "lifter.safetensors", {}, COCO17)


def test_parameters_that_easymocap_has_no_place_for_are_left_out(small_capture, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    file = tmp_path / "capture" / "foreign.npz"
    np.savez(file, frames=np.arange(3), joints=np.zeros((3, 25, 4)))  # as Panoptic's
    convert(load_capture(tmp_path / "capture"), tmp_path / "one", "easymocap")
    assert not (tmp_path / "one" / "smpl").exists()
    fields = {name: np.zeros((1, 3)) for name in ("Rh", "Th", "poses", "shapes")}
    np.savez(file, frames=np.array(["../a"]), **fields)
    with pytest.raises(ValueError, match="foreign.npz: frames is no array of numbers"):
        convert(load_capture(tmp_path / "capture"), tmp_path / "two", "easymocap")
    assert not (tmp_path / "two").exists()


def test_a_mesh_has_faces(small_source, tmp_path):
    shutil.copytree(small_source, tmp_path / "source")
    with np.load(tmp_path / "source" / "mesh.npz") as stored:
        arrays = {name: stored[name] for name in ("frames", "vertices")}
    np.savez(tmp_path / "source" / "mesh.npz", **arrays, faces=np.zeros((0, 3), int))
    with pytest.raises(ValueError, match="mesh.npz: The mesh has no faces"):
        read_registered(tmp_path / "source")


def test_rays_of_a_camera_that_is_there_twice_meet_somewhere():
    from anr_core.capture.readers.plain import guessed_camera
    from anr_core.prepare.agreement import triangulate

    points, known = triangulate([guessed_camera((10, 10))] * 2, np.full((2, 1, 1, 2), 5.0),
                                np.ones((2, 1, 1), bool))
    assert known.all() and np.isfinite(points).all()


def test_xz_unpacks_in_bounded_memory(tmp_path):
    file = tmp_path / "walk.tar.xz"
    with tarfile.open(file, "w:xz") as out:
        out.addfile(tarfile.TarInfo("a"), io.BytesIO())
    data = bytearray(file.read_bytes())
    begin, size = 12, 4 * (data[12] + 1)  # of the header of its block, which ends in a checksum
    assert data[begin + 2:begin + 4] == b"\x21\x01"  # LZMA2, and one byte of its dictionary's size
    data[begin + 4] = 40  # 4 GiB
    data[begin + size - 4:begin + size] = struct.pack("<I", zlib.crc32(data[begin:begin + size - 4]))
    file.write_bytes(data)
    with pytest.raises(BrokenArchive, match="walk.tar.xz can't be unpacked .Memory usage limit exceeded"):
        unpack(file, tmp_path / "walk")


def test_a_tars_sizes_are_not_negative(tmp_path):
    with tarfile.open(tmp_path / "walk.tar", "w", format=tarfile.PAX_FORMAT) as out:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"size": "-512"}  # back to where it was read from
        out.addfile(member)
    with pytest.raises(BrokenArchive, match="walk.tar can't be unpacked .a file of negative size"):
        unpack(tmp_path / "walk.tar", tmp_path / "walk")


def test_a_picture_is_read_before_room_is_made_for_a_mask_of_its_size(small_capture, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    index = json.loads((tmp_path / "capture" / "capture.json").read_text())
    for camera in index["cameras"].values():
        camera["size"] = [13_000, 13_000]
    for shot in index["shots"]:
        shot["mask"] = None
    written(tmp_path / "capture" / "capture.json", index)
    with pytest.raises(ValueError, match="pixels, but in capture.json cam"), bounded(room=2**28):
        load_capture(tmp_path / "capture").views()[0]


def test_a_video_of_frames_that_are_numbered_far_apart_is_refused():
    from anr_core.export.staging import there_and_back

    assert len(there_and_back(0, 3, 30.0, 25.0, 2.0)) == 50
    with pytest.raises(ValueError, match="The video would last 6.67e.10 s: its frames are numbered"):
        there_and_back(0, 10**12 - 1, 30.0, 25.0, 2.0)


def test_a_capture_has_a_way_up_and_keypoints_of_its_own_cameras(tmp_path):
    folder = make_posed_capture(tmp_path / "capture").path
    index = json.loads((folder / "capture.json").read_text())
    for up in ([0, 0, 0], [0, 0, 5]):
        written(folder / "capture.json", index | {"up": up})
        with pytest.raises(ValueError, match="capture.json is broken .up is no unit vector"):
            load_capture(folder)
    index["cameras"]["other"] = index["cameras"].pop("side")
    index["shots"] = [shot for shot in index["shots"] if shot["camera"] == "front"]
    written(folder / "capture.json", index)
    with pytest.raises(ValueError, match="keypoints.npz has keypoints of camera side, which capture.json"):
        load_capture(folder)


def test_a_list_of_endless_frames_is_no_list():
    from anr_core.cli.options import frame_list

    assert frame_list("0-3,8", range(9)) == [0, 1, 2, 3, 8]
    with pytest.raises(ValueError, match=r"\A'1+\.\.\.1+' is no list of frames: '1+\.\.\.1+' is neither"):
        frame_list("1" * 5000, range(9))


def test_what_a_capture_keeps_in_npz_is_numbers_and_names(tmp_path):
    folder = make_posed_capture(tmp_path / "capture").path
    for name in ("poses.npz", "keypoints.npz"):
        file = folder / name
        whole = file.read_bytes()
        with np.load(file) as stored:
            arrays = dict(stored)
        for key in arrays:
            np.savez(file, **arrays | {key: np.array({"shape": 3}, object)})
            with pytest.raises(ValueError, match=f"{name} is missing or broken .*it holds objects, expected"):
                load_capture(folder)
        file.write_bytes(whole)
    assert load_capture(folder)


def test_a_page_is_written_of_a_name_that_is_no_text(tmp_path):
    from anr_core.avatars import Config
    from anr_core.avatars.run import Run
    from anr_core.training.beginning import Person
    from anr_core.training.page import Page

    row = {"step": 4, "stage": "a", "seconds": 1.5, "people": [[["truth", "0000004-0-truth.jpg"]]]}
    written(tmp_path / "page" / "rows.json", [row])
    run = Run(tmp_path, Config(), [("cam", 0)], ("", ""), "\ud800", person="\ud800")
    Page(tmp_path, [Person(run, None)], 4).write(0.5)
    assert "truth.jpg" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_long_word_among_many_makes_none_of_them_as_wide(tmp_path):
    words = ["1"] * 3000 + ["x" * 10**6]  # twelve gigabytes as numpy's text
    with bounded(room=2**28):
        for values in (words, [words, words], [[1.0], words]):
            with pytest.raises(ValueError, match="of a camera is no array of numbers"):
                numbers(values, (None,), "of a camera")
        assert len(_rows([{"ims": words}], tmp_path / "annots.npy")[1].paths) == len(words)
        with pytest.raises(ValueError, match="fit.pkl: pose is empty, or its entries differ in length"):
            _stacked({"pose": words}, "pose", tmp_path / "fit.pkl")


def test_a_subjects_pictures_may_be_in_ragged_lists(tmp_path):
    rows = _rows([[{"ims": ["0.jpg"]}, {"ims": np.array(["1.jpg"])}], {"ims": [["2.jpg", "b"], "c"]}],
                 tmp_path / "annots.npy")
    assert [rows[frame].paths for frame in range(3)] == [["0.jpg"], ["1.jpg"], ["2.jpg", "b", "c"]]


def test_people_of_any_name_have_folders(tmp_path):
    from anr_core.avatars.run import folders_of

    for folder in folders_of(tmp_path, ["x" * 5000, "", "../..", "\ud800b\0", "anna"]):
        folder.mkdir(parents=True)
        assert folder.parent == tmp_path / "people"


@pytest.mark.parametrize("entry", [
    {"dtype": "F32", "shape": [2**63, 0], "data_offsets": [0, 0]},
    {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]},
    {"dtype": "x" * 9999, "shape": [1], "data_offsets": [0, 4]}])
def test_tensors_of_strange_shapes_and_types_are_told(entry, tmp_path):
    from anr_core.avatars.run import read_tensors

    header = json.dumps({"a": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ValueError, match=r"\A[^\n]*a.safetensors is broken [^\n]{,400}\Z"):
        read_tensors(tmp_path / "a.safetensors")


def test_pictures_that_a_run_draws_are_of_moderate_size():
    for system, setting in (("anr", "size"), ("static", "window"), ("gaussian", "source_size")):
        with pytest.raises(ValueError, match=f"setting {setting} is 1000000; expected at least"):
            configure(system=system, **{setting: 10**6})


@pytest.mark.parametrize("setting, value", [
    ("voxel", 1e-9), ("voxel", 9e8), ("reach", 1e-9), ("samples", 10**6), ("memory", 1e-9), ("memory", 0.0),
    ("density", ""), ("backend", "x")])
def test_settings_that_no_volume_can_be_drawn_with_are_refused(setting, value):
    from anr_core.avatars import make_avatar
    from tests.small_capture import surface

    with pytest.raises(ValueError, match=f"{setting} is .*; (it has to be .* or more|use one of)"):
        make_avatar(configure(system="neural-body", **{setting: value}), surface(), [("cam", 0)])


def test_a_grid_that_never_fits_is_refused_at_once():
    from anr_core.volume import largest_grid

    with pytest.raises(ValueError, match="would take"), bounded(seconds=5):
        largest_grid(torch.zeros(1, 3), torch.ones(1, 3), 0.01, 1e-9)


def test_a_body_that_no_picture_shows_is_told(tmp_path):
    capture = make_posed_capture(tmp_path / "capture")
    file, camera = capture.path / "poses.npz", capture.cameras["front"]
    with np.load(file) as stored:
        arrays = dict(stored)
    behind = (camera.center - 10 * camera.R[:, 2])[0].tolist()
    for place in (behind, [2.0**31, 0, 0]):  # where single precision tells vertices apart by 256 m
        np.savez(file, **arrays | {"root_translation": np.full((3, 3), place)})
        with pytest.raises(ValueError, match=r"frames/front/\S*: the body of frame 4 lies behind"), \
                bounded():
            load_capture(capture.path).views(crop="body", size=32)[0]


@pytest.mark.parametrize("thickness", [0.0, -1.0, 1e-9, 9e8])
def test_bones_have_some_thickness(thickness):
    from anr_core.avatars import make_avatar
    from tests.small_capture import surface

    config = configure(system="gaussian", thickness=thickness, skeleton="coco23", encoder_depth=14)
    with pytest.raises(ValueError, match="thickness is .*; it has to be 0.01 or more, and 100.0 at most"):
        make_avatar(config, surface(), [("cam", 0)])
