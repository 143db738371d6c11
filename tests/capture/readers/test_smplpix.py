"""SMPLpix's pairs of pictures."""

import shutil

import pytest
from PIL import Image

from anr_core.capture.readers import find_reader, smplpix
from anr_core.capture.readers.timing import Span
from anr_core.prepare import prepare


def picture(folder, name, shade, size=(12, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 255 - shade, 7)).save(folder / name)


@pytest.fixture
def source(tmp_path):
    """Two pairs to train, one to validate that is in test, too, and one more in test without its target."""
    folder = tmp_path / "smplpix_data"
    for split, numbers in (("train", (1, 2)), ("validation", (3,)), ("test", (3, 4))):
        for number in numbers:
            picture(folder / split / "input", f"{number:05d}.png", number)
            if number != 4:
                picture(folder / split / "output", f"{number:05d}.png", 100 + number)
    return folder


def test_pairs_become_a_capture_without_a_body(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture", fps=5)
    assert capture.registration is None and capture.uncalibrated == {"camera"} and capture.fps == 5
    assert [(shot.frame, shot.split) for shot in capture.shots] == [
        (1, "train"), (2, "train"), (3, "validation"), (4, "test")]
    view = capture.views(frames=[2])[0]
    assert view.image[0, 0, 0, 0] == 102 / 255 and view.size == (8, 12)
    assert (capture.truth(capture.shots[1], "input")[..., 0] == 2).all()
    said = capsys.readouterr().out
    assert "1 of 4 renderings have no picture" in said and "1 pictures of test are in validation, too" in said


def test_splits_that_number_alike_are_counted_in_a_row(source):
    picture(source / "test" / "input", "00001.png", 77)
    footage = smplpix.read(source)
    takes = list(footage.takes)
    assert [take.frame for take in takes] == [0, 1, 2, 3, 4, 5]
    assert [take.truth["input"][0, 0, 0] for take in takes] == [1, 2, 3, 77, 3, 4]
    assert [take.split for take in takes] == ["train", "train", "validation", "test", "test", "test"]


def test_training_alone_is_enough(source):
    for split in ("validation", "test"):
        shutil.rmtree(source / split)
    assert [take.frame for take in smplpix.read(source).takes] == [1, 2]
    assert find_reader(source)[0] == "smplpix"


def test_seconds_choose_pairs(source):
    assert [take.frame for take in smplpix.read(source, Span(2, 1, 1.5)).takes] == [2, 3]


def test_broken_pairs_are_refused_in_one_line(source, tmp_path):
    file = source / "train" / "output" / "00002.png"
    whole = file.read_bytes()
    for change, complaint in [(lambda: picture(file.parent, file.name, 1, (13, 8)), "00002.png is 13x8"),
                              (lambda: file.write_bytes(whole[:40]), "00002.png can't be read"),
                              (lambda: file.write_bytes(b"text"), "00002.png can't be read")]:
        change()
        with pytest.raises(ValueError, match=complaint) as refused:
            prepare(source, tmp_path / "capture")
        assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
    shutil.rmtree(source / "train" / "input")
    (source / "train" / "input").mkdir()
    shutil.rmtree(source / "test")
    shutil.rmtree(source / "validation")
    with pytest.raises(FileNotFoundError, match="input holds no pictures"):
        prepare(source, tmp_path / "capture")
