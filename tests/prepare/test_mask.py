"""Masks from a still camera: of a drawn person, and of a filmed one whom somebody else masked too."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from anr_core.capture import load_capture
from anr_core.capture.pictures import read_image, read_mask
from anr_core.cli import main
from anr_core.prepare import mask as masking
from anr_core.prepare import prepare, scene
from anr_core.prepare.mask import mask
from anr_core.skeleton import BODY25
from tests.small_sources import cameras, seen, write_openpose

pytestmark = pytest.mark.slow

SIZE = (180, 135)  # of OpenPose's files here, times 1.5
CAMERA = cameras(SIZE)["cam1"]
SHIRT, TROUSERS, SKIN = (40, 60, 150), (35, 30, 35), (200, 150, 120)
WIDTHS = {"shoulder hip": 22, "hip knee": 13, "knee ankle": 9, "shoulder elbow": 8, "elbow wrist": 6,
          "ankle big_toe": 6, "ankle heel": 5}


def wall():
    """(H, W, 3) uint8 of a textured scene."""
    patches = np.random.default_rng(3).uniform(120, 200, (SIZE[0] // 9 + 1, SIZE[1] // 9 + 1, 3))
    return np.asarray(Image.fromarray(patches.astype(np.uint8)).resize(SIZE[::-1], Image.Resampling.BICUBIC))


def person(frame):
    """(H, W, 3) colours and (H, W) bool where the person is."""
    colours, covered = Image.new("RGB", SIZE[::-1]), Image.new("L", SIZE[::-1])
    at = {name: tuple(place) for name, place in zip(BODY25.names, seen(CAMERA, frame)[:, :2], strict=True)}

    def line(one, other, width, colour):
        for picture, value in ((colours, colour), (covered, 255)):
            draw = ImageDraw.Draw(picture)
            draw.line([one, other], value, width)
            for x, y in (one, other):
                draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], value)

    for bone, width in WIDTHS.items():
        one, other = bone.split()
        for side in ("left_", "right_"):
            colour = SHIRT if "shoulder" in bone else SKIN if "wrist" in bone else TROUSERS
            line(at[side + one], at[side + other], width, colour)
    head = np.mean([at["left_ear"], at["right_ear"]], 0)
    line(tuple(head - [0, 4]), tuple(head + [0, 3]), 15, SKIN)
    line(tuple(head), at["neck"], 8, SKIN)
    return np.asarray(colours), np.asarray(covered) > 0


def picture(frame, shift=0):
    """A person before the wall, their soft shadow beside them, in a noisy picture of a changing light."""
    colours, covered = person(frame)
    there = np.roll(wall(), shift, 1).astype(float)
    shadow = gaussian_filter(np.roll(covered, 18, 1).astype(float), 3)
    there *= 1 - 0.35 * shadow[..., None]
    there[covered] = colours[covered]
    noise = np.random.default_rng(frame).normal(0, 2, there.shape)
    return (there * (1 + 0.05 * np.sin(frame)) + noise).clip(0, 255).astype(np.uint8), covered


def write_film(folder, shift=0, background=None):
    """A source of format `plain` with twelve pictures."""
    (folder / "images" / "cam1").mkdir(parents=True)
    for frame in range(12):
        image = picture(frame, shift * frame)[0]
        Image.fromarray(image).save(folder / "images" / "cam1" / f"{frame:04d}.png")
    write_openpose(folder / "keypoints", "cam1", range(12), scale=1.5)
    if background is not None:
        (folder / "background").mkdir()
        Image.fromarray(background).save(folder / "background" / "cam1.png")
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Read only: a capture without masks and background."""
    folder = tmp_path_factory.mktemp("film")
    return prepare(write_film(folder / "source"), folder / "capture")


@pytest.fixture
def capture(film, tmp_path):
    """A copy of it, to be masked."""
    shutil.copytree(film.path, tmp_path / "capture")
    return load_capture(tmp_path / "capture")


@pytest.fixture(autouse=True)
def few_pictures_looked_at(monkeypatch):
    monkeypatch.setattr(scene, "LOOKED_AT", 8)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("plate", ["auto", "given"])
def test_a_person_is_masked_and_their_shadow_is_not(capture, tmp_path, plate):
    if plate == "given":
        plate = tmp_path / "plate.png"
        Image.fromarray(wall()).save(plate)
    made = mask(capture.path, plate)
    for shot in made.shots:
        truth = person(shot.frame)[1]
        found, certain = (read_mask(made.path / file) > 127 for file in (shot.mask, shot.certain))
        assert overlap(found, truth) > 0.9
        assert overlap(found & certain, truth & certain) > 0.97
        assert certain.mean() > 0.9
    assert not (made.path / ".masks").exists()


def test_masks_that_are_there_stay_unless_they_are_asked_for_again(capture):
    made = mask(capture.path)
    file = made.path / made.shots[0].mask
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(file)
    assert mask(made.path).shots == made.shots
    assert not read_mask(file).any()
    assert read_mask(made.path / mask(made.path, again=True).shots[0].mask).any()


def test_what_was_killed_goes_on_to_the_same_masks(capture, tmp_path, monkeypatch):
    other = shutil.copytree(capture.path, tmp_path / "other")
    whole = mask(other)
    calls, label = [], masking.mask_of

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return label(*arguments)

    monkeypatch.setattr(masking, "mask_of", failing)
    with pytest.raises(KeyboardInterrupt):
        mask(capture.path)
    assert all(shot.mask is None for shot in load_capture(capture.path).shots)
    made = mask(capture.path)
    assert len(calls) == 6 + 7  # five were kept
    for shot in made.shots:
        assert (made.path / shot.mask).read_bytes() == (whole.path / shot.mask).read_bytes()


def test_a_picture_without_keypoints_is_left_without_a_mask(capture, capsys):
    table = dict(np.load(capture.path / "keypoints.npz"))
    table["points"][3] = 0
    np.savez(capture.path / "keypoints.npz", **table)
    made = mask(capture.path)
    assert [shot.frame for shot in made.shots if shot.mask is None] == [3]
    assert "cam1/0003" in capsys.readouterr().out


def refused(capsys, before, *arguments):
    """The line that a command ends with; the capture is as it was."""
    assert main(["mask", *map(str, arguments)]) == 2
    assert load_capture(before.path).shots == before.shots
    return capsys.readouterr().err


def test_a_moving_camera_is_refused(tmp_path, capsys):
    moved = prepare(write_film(tmp_path / "source", shift=5), tmp_path / "capture")
    assert "the camera moves" in refused(capsys, moved, moved.path)


def test_a_plate_of_another_size_scene_or_with_the_person_is_refused(capture, tmp_path, capsys):
    plate = tmp_path / "plate.png"
    for plain, told in ((wall()[:-2], "135x178"), (np.rot90(wall(), 2), "looks different in the plate")):
        Image.fromarray(np.ascontiguousarray(plain)).save(plate)
        assert told in refused(capsys, capture, capture.path, "--plate", plate)
    Image.fromarray(np.median([picture(frame)[0] for frame in range(12)], 0).astype(np.uint8)).save(plate)
    assert "shows the person" in refused(capsys, capture, capture.path, "--plate", plate)
    assert "nowhere.png" in refused(capsys, capture, capture.path, "--plate", tmp_path / "nowhere.png")


def test_the_captures_own_background_that_shows_the_person_is_left_out(tmp_path, capsys):
    stays = np.median([picture(frame)[0] for frame in range(12)], 0).astype(np.uint8)
    made = mask(prepare(write_film(tmp_path / "source", background=stays), tmp_path / "capture").path)
    assert "The capture's own is not used" in capsys.readouterr().out
    assert overlap(read_mask(made.path / made.shots[5].mask) > 127, person(made.shots[5].frame)[1]) > 0.9


def test_without_keypoints_and_body_there_is_nothing_to_go_by(capture, capsys):
    index = json.loads((capture.path / "capture.json").read_text())
    (capture.path / "capture.json").write_text(json.dumps(index | {"keypoints": None}))
    assert "neither keypoints nor a body" in refused(capsys, load_capture(capture.path), capture.path)


def test_a_filmed_man_is_masked_as_somebody_else_masked_him(real_capture):
    capture = real_capture("treadmill-walker")
    background = read_image(capture.path / capture.backgrounds["camera"])
    learned = masking.learn(capture, "camera", background)
    for shot in capture.shots[10::40]:
        found, certain = masking.mask_of(capture, shot, learned)
        truth = read_mask(capture.path / shot.mask) > 127
        assert overlap(found, truth) > 0.9
        assert overlap(found & certain, truth & certain) > 0.96
