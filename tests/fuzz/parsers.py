"""All parsers of what others made, each with small sources to damage and what reads them.

    PARSERS[name].make(folder)      writes one or more whole sources, each a folder in it
    PARSERS[name].read(folder)      reads one of them as the package does, to the last picture
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.capture.readers import small_datasets
from tests.small_capture import make_small_capture
from tests.small_pairs import write_pairs
from tests.small_sources import (
    NAMES,
    write_calibration,
    write_easymocap,
    write_openpose,
    write_pictures,
    write_pose2sim,
    write_qca,
)

VIDEOS = (".mp4", ".jpg")  # decoded by others' libraries, in processes of their own or slowly


@dataclass(frozen=True)
class Parser:
    """What writes whole sources into a folder, what reads one of them, and files that are seldom damaged.

    named  errors say in which folder or file it is
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    rarely: tuple[str, ...] = VIDEOS
    named: bool = True


# datasets


def _reader(format: str, make) -> Parser:
    def read(folder):
        from anr_core.capture.readers import find_reader

        list(find_reader(folder, format)[1].read(folder).takes)

    return Parser(make, read)


def _make_easymocap(folder):
    """As others have it, and as we write it."""
    from anr_core.capture.writers import convert

    convert(_small_capture(folder), folder / "converted", "easymocap")
    write_easymocap(folder / "whole", range(2))


def _small_capture(folder):
    """Of meshes, prepared beside a folder."""
    from anr_core.prepare import prepare

    source = folder.parent / "sources" / "small"
    make_small_capture(source, frames=2, camera_count=2, size=(48, 32))
    with contextlib.redirect_stdout(io.StringIO()):
        return prepare(source, source.with_name("small-capture"))


def _make_pose2sim(folder):
    write_pose2sim(folder / "toml", range(2))
    write_qca(folder / "qualisys" / "calibration" / "Calib.qca.txt")
    for name in NAMES:
        source = folder / "toml"
        for place in (f"videos/{name}.mp4", f"pose/{name}_json"):
            target = folder / "qualisys" / place
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (source / place).is_dir() else shutil.copy)(source / place, target)


def _make_plain(folder):
    write_pictures(folder / "whole", NAMES[:2], range(2))
    for name in NAMES[:2]:
        write_openpose(folder / "whole" / "keypoints" / name, name, range(2))
    write_calibration(folder / "one")
    write_pictures(folder / "one", NAMES[:1], range(2))


def _make_panoptic(folder):
    from anr_core.capture.readers import panoptic

    folder = folder / "171026_pose1"
    camera = {"name": "00_00", "type": "hd", "resolution": [40, 30],
              "K": [[30, 0, 20], [0, 30, 15], [0, 0, 1]], "distCoef": [-0.2, 0.1, 0, 0, 0],
              "R": np.eye(3).tolist(), "t": [[0], [0], [200]]}
    (folder / panoptic.POSES).mkdir(parents=True)
    (folder / "hdImgs" / "00_00").mkdir(parents=True)
    (folder / "calibration_171026_pose1.json").write_text(
        json.dumps({"cameras": [camera | {"name": "01_01", "type": "vga"}, camera]}))
    for frame in (5, 6):
        body = {"id": 3, "joints19": (np.arange(76) % 7 / 10).tolist()}
        (folder / panoptic.POSES / f"body3DScene_{frame:08d}.json").write_text(
            json.dumps({"bodies": [body, {"id": 4, "joints19": [0.0] * 76}]}))
        Image.new("RGB", (40, 30), (frame, 0, 0)).save(
            folder / "hdImgs" / "00_00" / f"00_00_{frame:08d}.png")


def _make_dynamic_texture(folder):
    folder, height, width = folder / "dance1", 12, 8
    person = {"pose_keypoints_2d": (np.arange(75) % 9 / 10 + 1).tolist()}
    for frame in (7, 8):
        for place, pixels in ((f"dance1/{frame:06d}.png", np.full((height, width, 3), frame)),
                              (f"densepose/frame{frame}_IUV.png", np.full((height, width, 3), 20)),
                              (f"mask/{frame}.png", np.full((height, width), 255))):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(pixels)).save(folder / place)
        (folder / "openpose_json").mkdir(exist_ok=True)
        (folder / "openpose_json" / f"{frame}_keypoints.json").write_text(json.dumps({"people": [person]}))
    for name in ("flow", "flow_inv"):
        (folder / name).mkdir()
        (folder / name / "7.flo").write_bytes(struct.pack("<fii", 202021.25, width, height)
                                              + np.full((height, width, 2), 0.5, "<f4").tobytes())
    Image.new("RGB", (8, 12)).save(folder / "bg.jpg")
    Image.new("RGB", (8, 12)).save(folder / "texture.jpg")


def _make_registered(folder):
    make_small_capture(folder / "whole", frames=2, camera_count=2, size=(48, 32), registered_every=1)


def _read_prepared(folder):
    """The whole of `prepare`: nothing beside the capture is left, and that is whole or not there."""
    from anr_core.capture import load_capture
    from anr_core.prepare import prepare

    place = folder.parent / "made"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            prepare(folder, place / "capture")
        list(load_capture(place / "capture").views())
    except Exception:
        assert not any(place.iterdir()), f"half of it is left: {sorted(place.rglob('*'))[:5]}"
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _make_any(folder):
    _make_registered(folder)
    (folder / "whole").rename(folder / "registered")
    write_pairs(folder / "pairs", 2, 1, 1)
    write_easymocap(folder / "easymocap", range(1))


# captures


def _make_captures(folder):
    from anr_core.capture import load_capture
    from anr_core.capture.changing import write_joints
    from anr_core.capture.joints import Joints
    from anr_core.prepare import prepare
    from tests.posed_capture import make_posed_capture

    sources = folder.parent / "sources"
    make_small_capture(sources / "meshes", frames=2, camera_count=2, size=(48, 32))
    write_pairs(sources / "pairs", 1, 1, 1)
    with contextlib.redirect_stdout(io.StringIO()):
        for name in ("meshes", "pairs"):
            prepare(sources / name, folder / name)
            (folder / name / "report.png").unlink(missing_ok=True)
    make_posed_capture(folder / "posed", masked=True)
    for left in folder.glob("*.npz"):  # of the truth, which it holds too
        left.unlink()
    write_joints(load_capture(folder / "posed"),
                 Joints.of("coco23", np.array([4, 8]), np.ones((2, 23, 4))))


def _read_capture(folder):
    from anr_core.capture import load_capture

    capture = load_capture(folder)
    for name in capture.cameras:
        capture.background(name)
    for view in capture.views():
        assert view.image.shape[2:] == view.mask.shape[2:] == view.certain.shape[2:]
    for shot in capture.shots:
        if capture.knows(shot, "depth"):
            capture.truth(shot, "depth")
    if capture.registration is not None:
        capture.recording.at(torch.tensor([capture.shots[0].frame]))
        list(capture.views(crop="body", size=32))


def _make_labelled(folder):
    """A capture with labels of its pictures and a texture, and one with parameters of EasyMocap's."""
    from anr_core.prepare import prepare

    _make_dynamic_texture(folder.parent / "sources")
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(folder.parent / "sources" / "dance1", folder / "labelled")
    shutil.copytree(_small_capture(folder).path, folder / "parametric")
    np.savez(folder / "parametric" / "foreign.npz", frames=np.arange(2), Rh=np.zeros((2, 3)),
             Th=np.zeros((2, 3)), poses=np.zeros((2, 72)), shapes=np.zeros((2, 10)))


def _read_beside(folder):
    """What few systems ask of a capture, and the capture in another format."""
    from anr_core.avatars.labels import texture_beside
    from anr_core.capture import load_capture
    from anr_core.capture.writers import convert

    capture, place = load_capture(folder), folder.parent / "converted"
    shutil.rmtree(place, ignore_errors=True)
    try:
        convert(capture, place, "easymocap")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if folder.name == "labelled":
        list(capture.views(labelled=True))
        texture_beside(capture)


# pictures


def _make_pictures(folder):
    """Of every kind and mode that is read, with what cameras and editors write beside."""
    folder = folder / "whole"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (9, 14, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "a word", {0x9286: b"ASCII\0\0\0words", 0x920A: 5.5}
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = Image.fromarray(np.uint16(257) * pixels[..., 0]) if mode == "I;16" else \
            Image.fromarray(pixels).convert(mode)
        picture.save(folder / f"{mode.replace(';', '')}.png", exif=exif, optimize=mode == "P")
    for mode in ("L", "RGB", "CMYK"):
        for name, options in (("", {}), ("-progressive", {"progressive": True})):
            Image.fromarray(pixels).convert(mode).save(folder / f"{mode}{name}.jpg", exif=exif, **options)
    for name, options in (("lossy", {}), ("lossless", {"lossless": True})):
        Image.fromarray(pixels).save(folder / f"{name}.webp", exif=exif, **options)


def _read_pictures(folder):
    from anr_core.capture.pictures import (
        picture_channels,
        picture_size,
        read_channels,
        read_image,
        read_mask,
    )

    wrong = []
    for file in sorted(folder.iterdir()):
        for read in (picture_size, picture_channels, read_image, read_mask, read_channels):
            try:
                read(file)
            except (ValueError, OSError) as error:
                wrong.append(error)
    if wrong:
        raise wrong[0]


# runs


TINY = {"size": 32, "window": 32, "texture_size": 16, "width": 4}
RUNS = {"anr": TINY | {"batch": 1}, "smplpix": TINY | {"batch": 1},
        "static": {"texture_size": 16, "size": 32},
        "neural-body": {"size": 32, "batch": 1, "texture_size": 16, "width": 4, "hidden": 8, "latent": 4},
        "gaussian": TINY | {"batch": 2, "levels": 2, "features": 4, "encoder_width": 4, "encoder_depth": 14,
                            "source_size": 64, "course": "pictures"},
        "dynamic-texture": TINY | {"batch": 2, "levels": 2, "features": 4, "generator_width": 4,
                                   "generator_depth": 1, "chart_size": 16, "made_up": 2}}


def _make_runs(folder):
    """One of each system, on a posed body, after a step."""
    from anr_core.threads import running_on
    from anr_core.training import train
    from tests.posed_capture import make_posed_capture

    os.environ["TQDM_DISABLE"] = "1"
    capture = make_posed_capture(folder.parent / "captures" / "posed", masked=True)
    for name, settings in RUNS.items():
        with running_on(1):  # many small steps
            list(train(capture, folder / name, name, "quick", steps=1, config=settings))
        (folder / name / "training.pt").unlink(missing_ok=True)  # large, and trusted


def _read_run(folder):
    from anr_core.avatars.run import Run, people_of

    for name in people_of(folder):
        run = Run.open(folder, name)
        avatar = run.avatar()
        run.static()
        if avatar.body is not None:
            from anr_core.camera import orbit

            pose = avatar.body.rest_pose()
            camera = orbit(torch.tensor([[0.0, 0, 0.9]]), torch.tensor([0.0]), 0.1, 4.0, 0.6, (32, 32),
                           torch.tensor([0.0, 0, 1]))
            with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
                avatar.render(pose, camera, (32, 32))


# motions


def _make_motions(folder):
    from tests.motion.made_up import bvh_text, walk
    from tests.posed_capture import make_posed_capture

    motion = walk(0.2)
    for kind in ("bvh", "amass", "easymocap", "deepmimic", "frames"):
        (folder / kind).mkdir(parents=True)
    (folder / "bvh" / "walk.bvh").write_text(bvh_text(motion))
    poses = np.random.default_rng(0).normal(0, 0.2, (4, 72))
    np.savez(folder / "amass" / "walk.npz", poses=poses, trans=np.zeros((4, 3)), betas=np.zeros(10),
             gender="neutral", mocap_framerate=30.0)
    people = [[{"id": 0, "Rh": [[0.1, 0, 0]], "Th": [[0, 0, 1.0]], "poses": row[None].tolist(),
                "shapes": [[0.0] * 10]}] for row in poses]
    (folder / "easymocap" / "motion.json").write_text(json.dumps([
        {"annots": person} if index % 2 else person for index, person in enumerate(people)][:1] * 3))
    for index, person in enumerate(people):
        (folder / "frames" / f"{index:06d}.json").write_text(json.dumps(person))
    from anr_core.motion.deepmimic import JOINTS

    (folder / "people").mkdir()
    (folder / "people" / "motion.json").write_text(json.dumps({"annots": [one for one, in people]}))
    shutil.copytree(make_posed_capture(folder.parent / "sources" / "recording").path, folder / "recording")
    row = [0.05, 0, 0.85, 0]
    for _, _, size, _ in JOINTS:
        row += [1, 0, 0, 0] if size == 4 else [0.1]
    (folder / "deepmimic" / "motion.json").write_text(json.dumps({"Loop": "wrap", "Frames": [row] * 3}))


_BODY = []


def _read_motion(folder):
    from anr_core.body.anny import AnnyBody
    from anr_core.motion import read_motion, retarget

    _BODY[:] = _BODY or [AnnyBody()]
    files = [file for file in folder.iterdir()]
    motion = read_motion(folder if folder.name in ("frames", "recording") or len(files) != 1 else files[0])
    retarget(motion[:6], _BODY[0])


def _make_keypoints(folder):
    write_openpose(folder / "body25", "cam1", range(3))
    (folder / "coco").mkdir(parents=True)
    rows = (np.arange(51) % 9 + 1.0).tolist()
    for frame in range(3):
        (folder / "coco" / f"{frame:06d}.json").write_text(json.dumps(
            {"annots": [{"personID": 0, "bbox": [0, 0, 9, 9, 1],
                         "keypoints": np.reshape(rows, (17, 3)).tolist()}]}))


def _read_keypoints(folder):
    from anr_core.motion.keypoints import open_source

    motion = open_source(folder)
    motion.at(motion.frames[:1])


# files of one kind


def _make_settings(folder):
    folder = folder / "whole"
    folder.mkdir(parents=True)
    for system in ("anr", "gaussian", "neural-body", "dynamic-texture", "smplpix"):
        (folder / f"{system}.json").write_text(json.dumps(
            {"width": 24, "texture_size": 128, "structure": 0.5, "seed": 3, "projection": "weak"}))


def _read_settings(folder):
    from anr_core.avatars import configure
    from anr_core.cli.options import read_settings

    for file in sorted(folder.iterdir()):
        if file.stem in ("anr", "gaussian", "neural-body", "dynamic-texture", "smplpix"):
            configure("quick", file.stem, **read_settings(file, file.stem))


def _make_pickles(folder):
    import scipy.sparse

    folder = folder / "whole"
    folder.mkdir(parents=True)
    record = {"a": np.arange(6.0).reshape(2, 3), "b": [1, (2, "x"), None], 3: {"c": np.array(["x", "yz"])},
              "t": torch.arange(4), "objects": np.array([np.zeros(2), "x"], object),
              "sparse": scipy.sparse.csc_matrix(np.eye(3)), "big": np.arange(3, dtype=">i4")}
    for protocol in (0, 2, 4, 5):
        (folder / f"{protocol}.bin").write_bytes(pickle.dumps(record, protocol))
    np.save(folder / "array.npy", np.arange(12.0).reshape(3, 4))
    np.save(folder / "object.npy", np.array({"K": np.eye(3), "names": ["a"]}, object), allow_pickle=True)
    np.savez(folder / "plain.npz", vertices=np.ones((2, 3), np.float32), b=np.array(["cam1"]))
    np.savez_compressed(folder / "small.npz", vertices=np.zeros((200, 300)), b=np.arange(3))


def _read_pickles(folder):
    from anr_core.body.npz import read_npy, read_npz
    from anr_core.body.pickles import read_pickle
    from anr_core.body.stand_ins import plain_array
    from anr_core.capture.readers.arrays import numbers

    for file in sorted(folder.iterdir()):
        if file.suffix == ".npy":
            found = {"": read_npy(file)}
        elif file.suffix == ".npz":
            found = read_npz(file, mapped=("vertices",))
        else:
            found = read_pickle(file)
        for value in found.values() if isinstance(found, dict) else [found]:
            if hasattr(value, "toarray"):
                with contextlib.suppress(ValueError):
                    numbers(plain_array(value), (None, None), f"{file}: a matrix")


def _make_models(folder):
    import scipy.sparse

    folder = folder / "whole"
    folder.mkdir(parents=True)
    arrays = {"v_template": np.random.default_rng(0).normal(size=(8, 3)), "shapedirs": np.zeros((8, 3, 10)),
              "posedirs": np.zeros((8, 3, 207)), "weights": np.full((8, 24), 1 / 24),
              "kintree_table": np.stack([np.arange(24) - 1, np.arange(24)]),
              "f": np.array([[0, 1, 2], [3, 4, 5], [5, 6, 7]]), "J_regressor": np.full((24, 8), 1 / 8)}
    np.savez(folder / "SMPL_NEUTRAL.npz", **arrays)
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    (folder / "SMPL_MALE.pkl").write_bytes(pickle.dumps(arrays, 2))
    (folder / "uv.obj").write_text("".join(f"v {i} 0 0\nvt 0.{i} 0.5\n" for i in range(8))
                                   + "f 1/1 2/2 3/3\nf 4/4 5/5 6/6\nf 6/6 7/7 8/8\n")


def _read_models(folder):
    from anr_core.body import Pose
    from anr_core.body.smpl import SmplBody

    for file in sorted(folder.iterdir()):
        if file.suffix in (".npz", ".pkl"):
            uv = folder / "uv.obj"
            body = SmplBody(file, "smpl", uv_obj=uv if uv.is_file() else None)
            body(Pose(torch.zeros(1, 23, 3), torch.zeros(1, 3), torch.zeros(1, 3)))


def _make_archives(folder):
    folder = folder / "whole"
    folder.mkdir(parents=True)
    files = {"walk/a.txt": b"a" * 2000, "walk/deep/b.bin": bytes(range(256)), "c": b""}
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    for kind in ("", "gz", "bz2", "xz"):
        for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)[:2 if not kind else 1]:
            with tarfile.open(folder / f"{kind}{format}.tar", f"w:{kind}", format=format) as out:
                for name, content in {**files, "long/" * 40 + "x": b"1"}.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    out.addfile(member, io.BytesIO(content))


def _read_archives(folder):
    from anr_core.capture.archives import is_archive, unpack

    place = folder.parent / "unpacked"
    for file in sorted(folder.iterdir()):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if not is_archive(file):
            continue
        try:
            unpack(file, place / "out")
            sizes = [found.lstat().st_size for found in place.rglob("*")]
            assert sum(sizes) < 10**8 and not any(found.is_symlink() for found in place.rglob("*"))
        except ValueError:
            assert not any(place.iterdir()), "half of it is left"
            raise
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _make_states(folder):
    from anr_core.body.anny import AnnyBody
    from anr_core.export.around import View
    from anr_core.viewer.state import State, pose_text

    _BODY[:] = _BODY or [AnnyBody()]
    pose, folder = _BODY[0].rest_pose(), folder / "whole"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(State(View(), pose, worn="anna:legs").text())
    (folder / "pose.json").write_text(pose_text(pose))


def _read_states(folder):
    """What somebody pastes into the panel."""
    from anr_core.export.around import View
    from anr_core.viewer.state import State, pose_of_text

    like = State(View(), _BODY[0].rest_pose())
    for file in sorted(folder.iterdir()):
        if file.is_file():
            text = file.read_bytes().decode("utf-8", "surrogateescape")
            State.of_text(text, like) if file.stem == "state" else pose_of_text(text, like.pose)


def _make_lifters(folder):
    from anr_core.lifting import Lifter, PoseRegressor
    from anr_core.prepare.lifter import save_lifter
    from anr_core.skeleton import COCO17

    folder = folder / "whole"
    folder.mkdir(parents=True)
    save_lifter(Lifter(PoseRegressor(17, 64), torch.zeros(17, 3)), {"a": 1}, folder / "lifter.safetensors")
    assert _kept(folder, COCO17) is not None


def _read_lifters(folder):
    from anr_core.skeleton import COCO17

    _kept(folder, COCO17)


def _kept(folder, skeleton):
    from anr_core.prepare.lifter import kept_lifter

    return kept_lifter(folder / "lifter.safetensors", {"a": 1}, skeleton)


def _make_pages(folder):
    folder = folder / "whole"
    (folder / "page").mkdir(parents=True)
    row = {"step": 4, "stage": "appearance", "seconds": 1.5, "people": [[["truth", "0000004-0-truth.jpg"]]]}
    (folder / "page" / "rows.json").write_text(json.dumps([row] * 2))
    (folder / "metrics.jsonl").write_text("".join(
        json.dumps({"step": step, "stage": "appearance", "l1": 0.5, "images_per_second": 1.0}) + "\n"
        for step in range(4)))


def _read_pages(folder):
    """What a browser would be shown: no element, address or attribute comes out of the files."""
    from anr_core.avatars import Config
    from anr_core.avatars.run import Run
    from anr_core.training.beginning import Person
    from anr_core.training.page import page, read_rows
    from anr_core.training.record import read_lines

    run = Run(folder, Config(), [("<b>", 0)], ("", ""), "<script>", person="<script>")
    rows = read_rows(folder)
    text = page(folder.name, [Person(run, None)], rows, read_lines(folder / "metrics.jsonl"), 0.5, True) \
        if rows else ""
    assert "<script" not in text and "passwd" not in text


def _make_lists(folder):
    (folder / "whole").mkdir(parents=True)
    (folder / "whole" / "frames.txt").write_text("0-40,48, 50-52")
    (folder / "whole" / "cameras.txt").write_text("cam01,cam02")
    (folder / "whole" / "links.txt").write_text("https://a.org/x/walk.zip?dl=0#sha256=00")


def _read_lists(folder):
    """What stands on a command line."""
    from anr_core.capture.fetching import _file_name, link_of
    from anr_core.capture.folder import Shot, _chosen
    from anr_core.cli.options import frame_list

    def text(name):
        file = folder / name
        return file.read_bytes().decode("utf-8", "surrogateescape")[:10_000] if file.is_file() else ""

    name = _file_name(text("links.txt").rpartition("/")[2])
    assert "/" not in name and name not in (".", "..", "") and len(name) <= 120
    link_of(text("links.txt"))
    shots, wrong = [Shot(f"cam0{index}", 0, "1.jpg", None) for index in (1, 2)], []
    for read in (lambda: frame_list(text("frames.txt"), range(60)),
                 lambda: _chosen(shots, "camera", text("cameras.txt").split(","))):
        try:
            read()
        except ValueError as error:  # both are read
            wrong.append(error)
    if wrong:
        raise wrong[-1]


PARSERS = {
    "registered": _reader("registered", _make_registered),
    "zju": _reader("zju", lambda folder: small_datasets.make_zju(folder / "313", 1, 2)),
    "people-snapshot": _reader("people-snapshot", lambda folder: small_datasets.make_people_snapshot(
        folder / "female-1-casual", 2)),
    "neuman": _reader("neuman", lambda folder: small_datasets.make_neuman(folder / "seattle", 2)),
    "human-view-synthesis": _reader("human-view-synthesis", lambda folder: small_datasets.make_human_view(
        folder / "whole", 2, 1)),
    "panoptic": _reader("panoptic", _make_panoptic),
    "dynamic-texture": _reader("dynamic-texture", _make_dynamic_texture),
    "smplpix": _reader("smplpix", lambda folder: write_pairs(folder / "whole", 2, 1, 1, (12, 10))),
    "easymocap": _reader("easymocap", _make_easymocap),
    "pose2sim": _reader("pose2sim", _make_pose2sim),
    "plain": _reader("plain", _make_plain),
    "prepare": Parser(_make_any, _read_prepared, named=False),
    "captures": Parser(_make_captures, _read_capture),
    "beside": Parser(_make_labelled, _read_beside),
    "pictures": Parser(_make_pictures, _read_pictures, ()),
    "runs": Parser(_make_runs, _read_run, (*VIDEOS, ".jsonl", ".html", "rows.json", ".pt", "log.txt")),
    "motions": Parser(_make_motions, _read_motion),
    "keypoints": Parser(_make_keypoints, _read_keypoints),
    "settings": Parser(_make_settings, _read_settings, named=False),
    "pickles": Parser(_make_pickles, _read_pickles),
    "models": Parser(_make_models, _read_models, named=False),
    "states": Parser(_make_states, _read_states, named=False),
    "lifters": Parser(_make_lifters, _read_lifters),
    "pages": Parser(_make_pages, _read_pages),
    "lists": Parser(_make_lists, _read_lists, named=False),
    "archives": Parser(_make_archives, _read_archives),
}
