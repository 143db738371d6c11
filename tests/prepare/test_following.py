"""Who is the person, in made-up recordings of several people who walk."""

import math

import numpy as np
import pytest

from anr_core.prepare.following import distance, follow, prominence
from tests.small_sources import figure

SIZE = (480, 640)


def walker(frame, x, height=300, turn=0.0, sure=0.9, seed=0):
    """(25, 3) of somebody who stands at x, so tall and so turned, as a detector sees them."""
    some = np.random.default_rng([frame, seed])
    body = figure(frame / 2 + seed)
    across = body[:, 0] * math.cos(turn) - body[:, 1] * math.sin(turn)
    points = np.stack([x + across * height / 1.7, 400 - body[:, 2] * height / 1.7], 1)
    points += some.normal(0, 2, (25, 2))
    inside = ((points >= 0) & (points < [SIZE[1], SIZE[0]])).all(1)
    return np.concatenate([points, (sure * inside)[:, None]], 1).astype(np.float32)


WALKS_RIGHT, WALKS_LEFT = -math.pi / 2, math.pi / 2


def followed(count, *people, known=None):
    """Of each frame the number of who is followed, or None; people are functions from a frame to points."""
    shown = []
    for frame in range(count):
        there = [(row, points) for row, one in enumerate(people)
                 if (points := one(frame)) is not None and (points[:, 2] > 0).sum() > 3]
        shown.append([there[place] for place in np.random.default_rng(frame).permutation(len(there))])
    points = [np.stack([one for _, one in there]) if there else np.zeros((0, 25, 3), np.float32)
              for there in shown]
    found = follow(points, list(range(count)), SIZE, [False] * count if known is None else known)
    return [None if who is None else there[who][0] for who, there in zip(found, shown, strict=True)]


def there(first, last, person):
    """Somebody, from one frame to before another one only."""
    return lambda frame: person(frame) if first <= frame < last else None


def test_the_person_is_who_is_prominent_over_the_whole_recording_not_at_its_beginning():
    stands = there(10, 200, lambda frame: walker(frame, 320))
    passes = there(0, 30, lambda frame: walker(frame, 20 * frame, 400, WALKS_RIGHT, seed=1))
    assert followed(200, stands, passes) == [None] * 10 + [0] * 190


def test_somebody_larger_who_passes_in_front_is_not_followed():
    hidden = range(123, 131)
    stands = lambda frame: None if frame in hidden else walker(frame, 320, 280)  # noqa: E731
    passes = there(100, 160, lambda frame: walker(frame, 14 * (frame - 100) - 60, 400, WALKS_RIGHT, seed=1))
    found = followed(300, stands, passes)
    assert found == [None if frame in hidden else 0 for frame in range(300)]


def test_two_who_walk_past_each_other_stay_who_they_are():
    right = lambda frame: walker(frame, 50 + 5 * frame, 330, WALKS_RIGHT)  # noqa: E731
    left = lambda frame: walker(frame, 590 - 5 * frame, 300, WALKS_LEFT, seed=3)  # noqa: E731
    assert followed(110, right, left) == [0] * 110
    merged = there(0, 110, lambda frame: None if 48 <= frame < 60 else left(frame))
    assert followed(110, right, merged) == [0] * 110


def test_two_alike_who_pass_fast_are_told_apart_by_where_they_were_going():
    one = lambda frame: walker(frame, 40 + 30 * frame, 330)  # noqa: E731
    other = lambda frame: walker(frame, 600 - 30 * frame, 300)  # noqa: E731
    assert followed(19, one, other) == [0] * 19


def test_who_leaves_and_comes_back_on_the_other_side_is_the_same():
    leaves = there(0, 45, lambda frame: walker(frame, 320 + 8 * frame, turn=WALKS_RIGHT))
    returns = there(105, 170, lambda frame: walker(frame, 6 * (frame - 105) - 40, turn=WALKS_RIGHT))
    found = followed(170, lambda frame: leaves(frame) if frame < 45 else returns(frame))
    assert found[:35] == [0] * 35 and found[115:] == [0] * 55


def test_a_bystander_does_not_stand_in_for_the_person():
    person = lambda frame: None if 80 <= frame < 130 else walker(frame, 250, 320)  # noqa: E731
    bystander = lambda frame: walker(0, 560, 260, seed=1) if frame % 3 else None  # noqa: E731
    assert followed(200, person, bystander) == [None if 80 <= frame < 130 else 0 for frame in range(200)]


def test_people_who_are_none_are_not_followed():
    some = np.random.default_rng(0)
    person = lambda frame: walker(frame, 320) if frame % 9 else None  # noqa: E731
    ghosts = [lambda frame, seed=seed: walker(frame, some.uniform(50, 590), some.uniform(60, 200), sure=0.4,
                                              seed=seed) for seed in (1, 2)]
    assert followed(150, person, *ghosts) == [0 if frame % 9 else None for frame in range(150)]


def test_a_ghost_of_the_person_is_not_taken_for_them():
    """Both tremble, so that the one is often where the other was."""
    person = lambda frame: walker(frame, 320 - 6 * (-1) ** frame)  # noqa: E731
    ghost = lambda frame: walker(frame, 320 + 8 * (-1) ** frame, sure=0.5)  # noqa: E731
    assert followed(60, ghost, person) == [1] * 60


def test_few_pictures_a_second_and_a_turning_body_are_followed():
    turns = lambda frame: walker(frame, 320, turn=1.0 * frame)  # noqa: E731
    assert followed(30, turns, lambda frame: walker(frame, 80 + 60 * (frame % 10), 200, seed=1)) == [0] * 30
    runs = lambda frame: walker(2 * frame, 75 * frame + 20, 200, WALKS_RIGHT)  # noqa: E731
    assert followed(9, runs) == [0] * 9


def test_who_is_hardly_sure_is_followed_too():
    dim = lambda frame: walker(frame, 320, sure=0.2 if frame % 4 == 1 else 0.9)  # noqa: E731
    assert followed(60, dim) == [0] * 60


def test_whoever_is_known_to_be_the_person_is_followed_though_others_are_larger():
    small, large = (lambda frame: walker(frame, 150, 200), lambda frame: walker(frame, 400, 380, seed=1))
    alone = lambda frame: large(frame) if frame > 5 else None  # noqa: E731
    assert followed(60, small, alone, known=[frame <= 5 for frame in range(60)]) == [0] * 60


def test_nobody_at_all():
    assert followed(5, lambda frame: None) == [None] * 5
    assert follow([], [], SIZE, []) == []


# the measures

def test_a_shift_is_told_in_sizes_and_people_are_as_near_as_they_are_far():
    one = walker(3, 300)
    tall = np.ptp(one[:, 1])
    other = one + np.float32([0.25 * tall, 0, 0])
    assert distance(one, other) == pytest.approx(0.25, rel=1e-5) == distance(other, one)
    assert distance(one, one) == 0
    assert distance(one, one * np.float32([1, 1, 0])) == np.inf


def test_large_central_and_sure_people_are_prominent():
    best = prominence(walker(0, 320, 380), SIZE)
    for other in (walker(0, 320, 200), walker(0, 150, 380), walker(0, 320, 380, sure=0.4)):
        assert 0 < prominence(other, SIZE) < 0.95 * best < 1
    assert prominence(np.zeros((25, 3), np.float32), SIZE) == 0
