"""Masks from a still camera: parts against hand computations, the whole on people drawn and filmed."""

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
from anr_core.prepare import prepare
from anr_core.prepare.guide import Guide, capsules, guide_of, standing_height
from anr_core.prepare.labelling import STEPS, Palette, certainty, edge_weights, tidy, walk
from anr_core.prepare.mask import mask
from anr_core.prepare.plate import alike, colours_of, plate_of, relit, shade, unlike
from anr_core.skeleton import BODY25
from tests.small_sources import cameras, seen, write_openpose

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
    scene = np.roll(wall(), shift, 1).astype(float)
    shadow = gaussian_filter(np.roll(covered, 18, 1).astype(float), 3)
    scene *= 1 - 0.35 * shadow[..., None]
    scene[covered] = colours[covered]
    noise = np.random.default_rng(frame).normal(0, 2, scene.shape)
    return (scene * (1 + 0.05 * np.sin(frame)) + noise).clip(0, 255).astype(np.uint8), covered


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
    monkeypatch.setattr(masking, "LOOKED_AT", 8)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


# colours

def test_half_the_light_shortens_a_colour_by_its_cube_root():
    colour = np.array([200, 150, 120])
    linear = ((colour / 255 + 0.055) / 1.055) ** 2.4
    halved = np.uint8(np.round(255 * (1.055 * (linear / 2) ** (1 / 2.4) - 0.055)))
    factor, off = shade(colours_of(halved[None]), colours_of(np.uint8(colour)[None]))
    assert factor[0] == pytest.approx(0.5 ** (1 / 3), abs=0.003)
    assert off[0] < 0.5


def test_another_gain_a_channel_is_taken_back():
    scene = np.random.default_rng(0).integers(20, 150, (40, 40, 3)).astype(np.uint8)
    brighter = np.round(scene * [1.3, 1.1, 0.9]).astype(np.uint8)
    assert np.abs(np.int16(relit(brighter, scene, np.ones((40, 40), bool))) - scene).max() <= 2


def test_a_plate_knows_each_place_from_the_pictures_where_it_is_free():
    scene = wall()
    pictures = np.stack([scene] * 8)
    free = np.ones(pictures.shape[:3], bool)
    for row in range(8):  # a person who walks from left to right, and a post that always stands
        pictures[row, 40:90, 10 * row:10 * row + 30] = TROUSERS
        free[row, 40:90, 10 * row:10 * row + 30] = False
    free[:, 100:110] = False
    plate = plate_of(pictures, free)
    assert plate.seen[40:90].all() and not plate.seen[100:110].any()
    assert (plate.picture[plate.seen] == scene[plate.seen]).all()


def test_a_plate_prefers_shadows_to_other_colours():
    scene = np.full((20, 20, 3), 180, np.uint8)
    plate = plate_of(np.stack([scene] * 4), np.ones((4, 20, 20), bool))
    colours = colours_of(np.uint8([[180] * 3, [140] * 3, [180, 140, 100], [20] * 3]))
    same, shadow, skin, black = plate.density(colours, (np.zeros(4, int), np.zeros(4, int)))
    assert same > 10 * shadow > 100 * max(skin, black)


def test_a_given_plate_holds_where_nothing_was_seen_unless_it_shows_the_person():
    scene, given = np.full((2, 30, 30, 3), 160, np.uint8)
    pictures, core = np.stack([scene] * 6), np.zeros((6, 30, 30), bool)
    pictures[:, 10:20, 10:20], core[:, 10:20, 10:20] = SHIRT, True  # never leaves that place
    given[10:20, 15:20] = SHIRT
    given[10:20, 10:15] = (90, 160, 90)
    plate = plate_of(pictures, ~core, given=given, core=core)
    assert (plate.picture[10:20, 10:15] == (90, 160, 90)).all()
    assert (plate.picture[10:20, 15:20] == 160).all()
    assert unlike(given[None], core[:1], scene) == 1
    assert alike(pictures, core, given) == 0.5


# places

def test_a_limb_is_as_far_away_as_computed_by_hand():
    points = np.zeros((25, 3), np.float32)
    for name, place in (("left_shoulder", (100, 20)), ("left_hip", (100, 80)), ("left_knee", (100, 128))):
        points[BODY25.names.index(name)] = (*place, 0.9)
    places = {"left_shoulder": np.array([100, 20]), "left_hip": np.array([100, 80]),
              "left_knee": np.array([100, 128])}
    assert standing_height(places) == pytest.approx(200)  # 60 / 0.30 and 48 / 0.24
    guide = guide_of((300, 300), points, BODY25.names)
    left, top = guide.box[:2]
    # half way down the thigh, whose half width there is 0.043 heights; the pixel's centre is at 120.5
    assert guide.outside[104 - top, 120 - left] == pytest.approx(20.5 / 200 - 0.043, abs=2e-3)
    assert guide.core[104 - top, 100 - left] and not guide.core[104 - top, 108 - left]
    assert guide.beyond(0.1, (300, 300))[0, 0]


def test_a_body_guides_where_there_are_no_keypoints():
    body = np.zeros((100, 80), bool)
    body[20:80, 30:50] = True
    guide = guide_of((100, 80), body=body)
    assert guide.height == 60
    assert guide.outside[50 - guide.box[1], 60 - guide.box[0]] == pytest.approx(11 / 60)
    assert guide.core.any() and not guide.core[guide.outside > 0].any()


def test_nobody_is_where_neither_keypoints_nor_body_are():
    assert guide_of((50, 50)) is None
    assert guide_of((50, 50), np.zeros((25, 3), np.float32), BODY25.names) is None
    assert guide_of((50, 50), body=np.zeros((50, 50), bool)) is None


def test_one_side_of_a_person_is_enough_for_a_trunk():
    assert len(capsules({"left_shoulder": np.zeros(2), "left_hip": np.ones(2)})) > 0


# labels

def test_the_cheapest_labels_are_those_of_a_dense_solution():
    random = np.random.default_rng(1)
    odds, reach = random.normal(0, 2, (4, 5)), random.random((4, 5)) > 0.2
    weights = edge_weights(random.normal(50, 20, (4, 5, 3)), np.zeros((4, 5, 3)))
    system, right, place = np.zeros((20, 20)), np.zeros(20), np.arange(20).reshape(4, 5)
    for (row, column), value in np.ndenumerate(odds):
        if not reach[row, column]:
            system[place[row, column], place[row, column]] = 1
            continue
        system[place[row, column], place[row, column]] += abs(value)
        right[place[row, column]] += max(value, 0)
        for weight, (down, across) in zip(weights, STEPS, strict=True):
            for sign in (1, -1):
                r, c = row + sign * down, column + sign * across
                if 0 <= r < 4 and 0 <= c < 5:
                    first = min(row, r), min(column, c)
                    link = weight[first]
                    system[place[row, column], place[row, column]] += link
                    system[place[row, column], place[r, c]] -= link
    solved = np.linalg.solve(system, right).reshape(4, 5)
    assert np.abs(walk(odds, weights, reach) - solved)[reach].max() < 2e-3


def test_neighbours_hold_together_but_across_an_edge_that_the_plate_has_not():
    colours = np.zeros((4, 6, 3))
    colours[:, 3:] = 60
    own = edge_weights(colours, np.zeros_like(colours))[0]
    of_plate = edge_weights(colours, colours)[0]
    assert own[0, 2] < 0.1 * own[0, 0]
    assert of_plate[0, 2] > 5 * own[0, 2]


def test_small_holes_are_filled_large_ones_are_not_and_islands_go():
    core = np.zeros((60, 60), bool)
    core[10:50, 28:32] = True
    guide = Guide((0, 0, 60, 60), 100.0, np.zeros((60, 60)), core)  # specks are of up to 6 pixels
    drawn = np.zeros((60, 60), bool)
    drawn[5:55, 15:45] = True
    drawn[10:12, 20:22] = drawn[30:40, 34:40] = False
    island = drawn.copy()
    island[20:30, 50:58] = True
    cleaned = tidy(island, guide)
    assert cleaned[10:12, 20:22].all() and not cleaned[30:40, 34:40].any() and not cleaned[20:30, 50:58].any()


def test_what_is_undecided_or_told_otherwise_near_the_outline_is_not_certain():
    drawn, told = np.zeros((40, 40), bool), np.full((40, 40), -5.0)
    drawn[10:30, 10:30], told[10:30, 10:30] = True, 5.0
    share = drawn.astype(float)
    share[5, 5] = 0.5
    told[11, 20] = told[20, 20] = -5.0  # the plate's colour, at the outline and in the middle
    certain = certainty(drawn, share, told, Guide((0, 0, 40, 40), 100.0, told, drawn))
    assert list(zip(*np.nonzero(~certain), strict=True)) == [(5, 5), (11, 20)]


def test_a_palette_knows_the_colours_it_was_given():
    palette = Palette()
    palette.add(np.tile(np.float32([[40.0, 10.0, -30.0]]), (50, 1)))
    own, other = palette.density(np.float32([[40.0, 10.0, -30.0], [100.0, 0.0, 0.0]]))
    assert own > 1000 * other


# captures

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
    for scene, told in ((wall()[:-2], "135x178"), (np.rot90(wall(), 2), "looks different in the plate")):
        Image.fromarray(np.ascontiguousarray(scene)).save(plate)
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
    scene = masking.learn(capture, "camera", background)
    for shot in capture.shots[10::40]:
        found, certain = masking.mask_of(capture, shot, scene)
        truth = read_mask(capture.path / shot.mask) > 127
        assert overlap(found, truth) > 0.9
        assert overlap(found & certain, truth & certain) > 0.96
