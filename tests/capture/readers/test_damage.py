"""Damaged sources: one clear line and exit code 2, or a whole capture; never a traceback or half of one."""

import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from anr_core.capture import load_capture
from anr_core.cli import main
from tests.small_sources import write_easymocap, write_pose2sim

CHECKOUT = Path(__file__).parents[3]
FIRST_NUMBER = re.compile(rb'(data: \[ |matrix = \[\[|2d": \[)-?[\d.]+')  # of every array


def halved(data):
    return data[:len(data) // 2]


def emptied(data):
    return b""


def scrambled(data):
    return np.random.default_rng(1).bytes(len(data))


def without_numbers(data):
    return data.replace(b"1", b"x")


def with_nan(data):
    return FIRST_NUMBER.sub(rb"\1nan" if b"matrix = " in data else rb"\1NaN", data)


def with_huge_numbers(data):
    return FIRST_NUMBER.sub(rb"\g<1>9e999", data)


def deep(data):
    return b'{"people": ' + b"[" * 100_000 if data.startswith(b"{") else data + b"x = " + b"[" * 100_000


def enormous(data):
    """A picture that says it has 60000 x 60000 pixels."""
    header = struct.pack(">4sIIBBBBB", b"IHDR", 60_000, 60_000, 8, 0, 0, 0, 0)
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def renamed(data):
    """Keys are missing, because they are spelled otherwise."""
    for key in (b"K_", b"T_", b"matrix", b"translation", b"people", b"annots"):
        data = data.replace(key, b"zz" + key)
    return data


def of_other_shape(data):
    return data.replace(b"rows: 3", b"rows: 4").replace(b"translation = [", b"translation = [ 1.0,").replace(
        b'"pose_keypoints_2d": [', b'"pose_keypoints_2d": [1.0,')


TEXT = [halved, emptied, scrambled, without_numbers, with_nan, with_huge_numbers, deep, renamed,
        of_other_shape]
BINARY = [halved, emptied, scrambled]
PICTURE = [*BINARY, enormous]
EASYMOCAP = {"intri.yml": TEXT, "extri.yml": TEXT, "images/cam1/000001.jpg": BINARY,
             "mask/cam1/000001.png": PICTURE, "openpose/cam1/cam1_000000000001_keypoints.json": TEXT}
POSE2SIM = {"calibration/Calib.toml": TEXT, "videos/cam1.mp4": BINARY}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Read only, by format."""
    folder = tmp_path_factory.mktemp("whole")
    return {"easymocap": write_easymocap(folder / "easymocap", range(2)),
            "pose2sim": write_pose2sim(folder / "pose2sim", range(2))}


PLAIN = {"videos/cam1.mp4": BINARY}
FORMATS = {"easymocap": EASYMOCAP, "pose2sim": POSE2SIM, "plain": PLAIN}
CASES = [(format, file, damage) for format, files in FORMATS.items()
         for file, damages in files.items() for damage in damages]


@pytest.mark.parametrize(("format", "file", "damage"), CASES)
def test_damage_is_told_in_one_clear_line_or_does_no_harm(format, file, damage, sources, tmp_path, capsys):
    whole = sources["easymocap" if format == "easymocap" else "pose2sim"]
    source = shutil.copytree(whole, tmp_path / "source")
    (source / file).write_bytes(damage((source / file).read_bytes()))
    code = main(["prepare", str(source), str(tmp_path / "capture"), "--format", format])
    told = capsys.readouterr().err
    made = [path.name for path in tmp_path.iterdir() if path.name != "source"]
    if code == 0:
        assert made == ["capture"] and len(list(load_capture(tmp_path / "capture").views())) >= 4
    else:
        assert made == [] and code == 2
        assert told.startswith("Error: ") and told.count("\n") == 1 and len(told) > 60


def test_files_that_are_named_by_a_time_are_refused(sources, tmp_path, capsys):
    source = shutil.copytree(sources["easymocap"], tmp_path / "source")
    (source / "images" / "cam1" / "000001.jpg").rename(source / "images" / "cam1" / "1790000000123456789.jpg")
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 2
    assert "is no number of a frame" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["images", "openpose/cam1", "mask/cam1"])
def test_a_folder_that_is_missing_is_no_traceback(folder, sources, tmp_path, capsys):
    source = shutil.copytree(sources["easymocap"], tmp_path / "source")
    shutil.rmtree(source / folder)
    assert main(["prepare", str(source), str(tmp_path / "capture"), "--format", "easymocap"]) in (0, 2)


def test_an_old_capture_outlives_a_damaged_source(sources, tmp_path, capsys):
    source = shutil.copytree(sources["easymocap"], tmp_path / "source")
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 0
    before = (tmp_path / "capture" / "capture.json").read_bytes()
    file = source / "images" / "cam1" / "000001.jpg"
    file.write_bytes(halved(file.read_bytes()))
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 2
    assert "000001.jpg can't be read as a picture" in capsys.readouterr().err
    assert (tmp_path / "capture" / "capture.json").read_bytes() == before


def test_a_folder_whose_name_is_no_text_is_read(sources, tmp_path):
    source = shutil.copytree(sources["easymocap"], tmp_path / os.fsdecode(b"caf\xe9"))
    command = [sys.executable, "-m", "anr_core", "prepare", str(source), str(tmp_path / "capture")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT,
                          env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 0 and r"caf\udce9: format easymocap" in done.stdout, done.stderr
    assert len(load_capture(tmp_path / "capture").shots) == 6
