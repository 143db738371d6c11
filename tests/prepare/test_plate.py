"""What masks from a still camera are made of: each part against hand computations or a slow oracle."""

import numpy as np
import pytest

from anr_core.prepare.guide import Guide, capsules, guide_of, standing_height
from anr_core.prepare.labelling import STEPS, Palette, certainty, edge_weights, tidy, walk
from anr_core.prepare.plate import alike, colours_of, plate_of, relit, shade, unlike
from anr_core.skeleton import BODY25

SHIRT, TROUSERS = (40, 60, 150), (35, 30, 35)


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
    scene = np.random.default_rng(3).integers(120, 200, (120, 110, 3)).astype(np.uint8)
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


def test_what_is_undecided_cut_off_or_told_otherwise_near_the_outline_is_not_certain():
    drawn, told = np.zeros((40, 40), bool), np.full((40, 40), -5.0)
    drawn[10:30, 10:30], told[10:30, 10:30] = True, 5.0
    share = drawn.astype(float)
    share[5, 5], share[35, 35] = 0.5, 1.0  # the second is an island that was taken away
    told[11, 20] = told[20, 20] = -5.0  # the plate's colour, at the outline and in the middle
    certain = certainty(drawn, share, told, Guide((0, 0, 40, 40), 100.0, told, drawn))
    assert list(zip(*np.nonzero(~certain), strict=True)) == [(5, 5), (11, 20), (35, 35)]


def test_a_palette_knows_the_colours_it_was_given():
    palette = Palette()
    palette.add(np.tile(np.float32([[40.0, 10.0, -30.0]]), (50, 1)))
    own, other = palette.density(np.float32([[40.0, 10.0, -30.0], [100.0, 0.0, 0.0]]))
    assert own > 1000 * other
