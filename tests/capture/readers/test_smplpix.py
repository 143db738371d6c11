"""SMPLpix's pairs of pictures."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture import load_capture
from anr_core.capture.pictures import read_channels, read_image, read_mask
from anr_core.capture.readers import find_reader, smplpix
from anr_core.capture.readers.timing import Span
from anr_core.capture.sheet import contact_sheet
from anr_core.capture.writers import convert
from anr_core.cli import main
from anr_core.prepare import prepare


def picture(folder, name, shade, size=(12, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 255 - shade, 7)).save(folder / name)


def save(file, pixels):
    """An array (H, W) or (H, W, C), uint8 or uint16."""
    Image.fromarray(pixels).save(file)


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
    assert capture.paired
    assert [(shot.frame, shot.split) for shot in capture.shots] == [
        (1, "train"), (2, "train"), (3, "validation"), (4, "test")]
    view = capture.views(frames=[2])[0]
    assert view.image[0, 0, 0, 0] == 102 / 255 and view.input[0, 0, 0, 0] == 2 / 255
    assert view.size == (8, 12) and view.input.shape == (1, 3, 8, 12)
    said = capsys.readouterr().out
    assert "1 of 1 inputs of test have no picture" in said and "drawn, and not judged" in said
    assert "1 pictures of test are in validation, too" in said and "warning" not in said
    assert contact_sheet(capture).shape == (214, 4 * 600, 3)


def test_a_whole_picture_is_to_be_drawn_unless_nobody_knows_it(source, tmp_path):
    capture = prepare(source, tmp_path / "capture")
    assert [shot.known for shot in capture.shots] == [True, True, True, False]
    *known, unknown = capture.views()
    assert all((view.mask == 1).all() and view.certain.all() for view in known)
    assert not unknown.mask.any() and not unknown.certain.any()
    assert torch.equal(unknown.image, unknown.input)


def test_the_body_that_pairs_lack_is_said_not_to_come(source, tmp_path):
    with pytest.raises(ValueError, match="pairs of pictures, without cameras and a body. Only"):
        _ = prepare(source, tmp_path / "capture").body


def test_splits_that_number_alike_are_counted_in_a_row(source):
    picture(source / "test" / "input", "00001.png", 77)
    footage = smplpix.read(source)
    takes = list(footage.takes)
    assert [take.frame for take in takes] == [0, 1, 2, 3, 4]
    assert [read_image(take.input)[0, 0, 0] for take in takes] == [1, 2, 3, 77, 4]
    assert [take.split for take in takes] == ["train", "train", "validation", "test", "test"]
    assert "train from 0 to 1, validation from 2 to 2, test from 3 to 4" in " ".join(footage.notes)


def test_validation_and_test_share_no_frame_whatever_they_are_called(source):
    shutil.copy(source / "validation" / "input" / "00003.png", source / "test" / "input" / "other.png")
    takes = list(smplpix.read(source).takes)
    assert [take.split for take in takes] == ["train", "train", "validation", "test"]


def test_training_alone_is_enough(source):
    for split in ("validation", "test"):
        shutil.rmtree(source / split)
    assert [take.frame for take in smplpix.read(source).takes] == [1, 2]
    assert find_reader(source)[0] == "smplpix"


def test_new_inputs_alone_are_a_capture_to_animate_with(source, tmp_path):
    for split in ("train", "validation"):
        shutil.rmtree(source / split)
    capture = prepare(source, tmp_path / "capture")
    assert [(shot.frame, shot.split, shot.known) for shot in capture.shots] == [
        (3, "test", True), (4, "test", False)]


def test_a_picture_to_train_without_its_output_is_told(source):
    (source / "train" / "output" / "00002.png").unlink()
    footage = smplpix.read(source)
    assert "1 of 2 inputs of train have no picture in output/: they are not trained on." in footage.notes
    assert [take.image is None for take in footage.takes] == [False, True, False, True]


def test_seconds_choose_pairs(source):
    assert [take.frame for take in smplpix.read(source, Span(2, 1, 1.5)).takes] == [2, 3]


def test_names_that_are_no_numbers_and_endings_in_capitals_pair_up(tmp_path):
    folder = tmp_path / "faces"
    for row, name in enumerate(("face_a", "face_b")):
        picture(folder / "train" / "input", f"{name}.PNG", 10 + row)
        picture(folder / "train" / "output", f"{name}.JPG", 200 + row)
    capture = prepare(folder, tmp_path / "capture")
    assert [(shot.frame, shot.input, shot.image) for shot in capture.shots] == [
        (row, f"inputs/camera/{row:04d}.png", f"frames/camera/{row:04d}.jpg") for row in range(2)]
    for row, view in enumerate(capture.views()):
        assert round(float(view.input[0, 0, 0, 0]) * 255) == 10 + row
        assert abs(float(view.image[0, 0, 0, 0]) * 255 - 200 - row) < 3


def test_numbers_order_names_and_need_not_be_the_last_words(tmp_path):
    for number in (1, 2, 10):
        picture(tmp_path / "in" / "train" / "input", f"take_{number}_left.png", number)
    assert [take.frame for take in smplpix.read(tmp_path / "in").takes] == [1, 2, 10]
    picture(tmp_path / "in" / "train" / "input", "take_2_right.png", 3)
    takes = list(smplpix.read(tmp_path / "in").takes)
    assert [(take.frame, take.input.stem) for take in takes] == [
        (0, "take_1_left"), (1, "take_2_left"), (2, "take_2_right"), (3, "take_10_left")]


@pytest.mark.parametrize("channels", [3, 4])
def test_inputs_keep_their_channels_to_the_bit(channels, source, tmp_path):
    random = np.random.default_rng(channels)
    given = {file: random.integers(0, 256, (8, 12, channels), np.uint8) for file in source.glob("*/input/*")}
    given[source / "test" / "input" / "00003.png"] = given[source / "validation" / "input" / "00003.png"]
    for file, pixels in given.items():
        save(file, pixels)
    capture = prepare(source, tmp_path / "capture")
    for shot, view in zip(capture.shots, capture.views(), strict=True):
        pixels = given[source / shot.split / "input" / f"{shot.frame:05d}.png"]
        assert np.array_equal((view.input[0] * 255).round().byte().permute(1, 2, 0).numpy(), pixels)


def test_grey_and_16_bit_pictures_are_scaled_and_not_clipped(source, tmp_path):
    ramp = np.linspace(0, 65535, 96).round().astype(np.uint16).reshape(8, 12)
    save(source / "train" / "output" / "00001.png", ramp)
    save(source / "train" / "output" / "00002.png", (ramp // 257).astype(np.uint8))
    for index, file in enumerate(sorted(source.glob("*/input/*"))):
        save(file, np.roll(ramp, 0 if file.name == "00003.png" else index))
    capture = prepare(source, tmp_path / "capture")
    first, second = capture.views(frames=[1, 2])
    exact = torch.from_numpy(ramp.astype(np.float32) / 65535)
    assert (first.image - exact).abs().max() <= 0.51 / 255 and (second.image - exact).abs().max() <= 1 / 255
    assert first.input.shape == (1, 1, 8, 12)
    rolled = torch.roll(exact.flatten(), int((first.input.flatten() == 0).nonzero()[0]))
    torch.testing.assert_close(first.input.flatten(), rolled, atol=1e-6, rtol=0)  # all of the 16 bits


def test_a_grey_input_among_coloured_ones_is_grey_in_colour(source, tmp_path):
    save(source / "train" / "input" / "00002.png", np.full((8, 12), 40, np.uint8))
    save(source / "validation" / "input" / "00003.png", np.full((8, 12), 50 * 257, np.uint16))
    capture = prepare(source, tmp_path / "capture")
    assert [view.input.shape[1] for view in capture.views()] == [3] * 5
    assert (read_channels(capture.path / capture.shots[1].input) == 40).all()
    assert (read_channels(capture.path / capture.shots[2].input) == 50).all()


def test_an_outputs_alpha_is_its_mask(source, tmp_path):
    alpha = np.zeros((8, 12), np.uint8)
    alpha[2:6, 3:9] = 255
    for number, mask in ((1, alpha), (2, np.full_like(alpha, 255))):
        colours = np.full((8, 12, 3), 90 + number, np.uint8)
        save(source / "train" / "output" / f"{number:05d}.png", np.dstack([colours, mask]))
    capture = prepare(source, tmp_path / "capture")
    assert np.array_equal(read_mask(capture.path / capture.shots[0].mask), alpha)
    assert capture.shots[1].mask is None, "an alpha that hides nothing is no mask"
    first, second = capture.views(frames=[1, 2])
    assert (first.image == 91 / 255).all() and first.mask.sum() == 24 and second.mask.all()


def test_broken_pairs_are_refused_in_one_line(source, tmp_path):
    file = source / "train" / "output" / "00002.png"
    whole = file.read_bytes()
    for change, complaint in [(lambda: picture(file.parent, file.name, 1, (13, 8)),
                               "00002.png is 13x8 pixels, but others are 12x8 pixels"),
                              (lambda: file.write_bytes(whole[:40]), "00002.png can't be read"),
                              (lambda: file.write_bytes(b"text"), "00002.png can't be read")]:
        change()
        with pytest.raises(ValueError, match=complaint) as refused:
            prepare(source, tmp_path / "capture")
        assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
    for split in ("train", "validation", "test"):
        shutil.rmtree(source / split / "input")
    (source / "train" / "input").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no pictures"):
        prepare(source, tmp_path / "capture")


def test_mixed_sizes_and_channels_end_with_the_first_odd_file_and_exit_code_2(source, tmp_path, capsys):
    for name in ("00003.png", "00004.png"):
        picture(source / "test" / "input", name, 9, (24, 16))
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 2
    told = capsys.readouterr().err
    assert "test/input/00003.png is 24x16 pixels, but others are 12x8 pixels" in told
    assert told.count("\n") == 1
    picture(source / "test" / "input", "00003.png", 9)
    save(source / "test" / "input" / "00004.png", np.zeros((8, 12, 4), np.uint8))
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 2
    assert "00004.png is of 4 channels, but others are of 3 channels" in capsys.readouterr().err


def test_one_name_with_two_endings_is_refused(source, tmp_path):
    picture(source / "train" / "input", "00001.jpg", 1)
    with pytest.raises(ValueError, match=r"have one name, but for the ending"):
        smplpix.read(source)


def test_pairs_are_written_and_read_back_the_same(source, tmp_path):
    capture = prepare(source, tmp_path / "capture", fps=5)
    convert(load_capture(tmp_path / "capture"), tmp_path / "written", "smplpix")
    back = prepare(tmp_path / "written", tmp_path / "back", fps=5)
    assert [(shot.frame, shot.split, shot.known) for shot in back.shots] == \
        [(shot.frame, shot.split, shot.known) for shot in capture.shots]
    for one, other in zip(capture.views(), back.views(), strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.input, other.input)
