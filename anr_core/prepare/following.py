"""One person through a recording in which several were found.

Detections that lie where somebody was expected join into tracks, each of one person. Tracks that don't
overlap in time join into chains, where the later one may be whom the earlier one lost. Of all chains the most
prominent one is the person: large, central and surely seen, over the whole recording and not only at its
beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# Of a person's size: a person moves by so many times the usual step of a recording from picture to picture,
# at the least and the most by so much.
STEPS, LEAST_STEP, FARTHEST_STEP = 4.0, 0.1, 0.5
# Within so many pictures in which nobody was found, that doubles; after so many, they may be anywhere.
DOUBLES_WITHIN, ANYWHERE_AFTER = 10, 30
# A track that was not seen for so many pictures has ended; a chain may still go on.
PATIENCE = 15
# So many detections tell how fast a person moves.
RECENT = 5
# Of two detections in a picture that are so near, the less prominent one is the other's ghost.
GHOST = 0.06
# Nobody becomes so many times as large or as small while out of sight.
LARGEST_CHANGE = 2.0
# A chain's next track has to be worth more pictures of somebody prominent than this: who is found once or
# twice, somewhere else, is mostly nobody.
JOINING = 2.5
# How many pictures' worth of prominence it is that somebody is known to be the person.
KNOWN = 1000.0


@dataclass
class Track:
    """Detections of one person: pictures, which rise, who of each it is, their keypoints (K, 3)."""

    pictures: list[int]
    who: list[int]
    points: list[np.ndarray]
    weight: float = 0.0

    def add(self, picture: int, who: int, points: np.ndarray, weight: float) -> None:
        """One more detection: who of a picture it is, with points (K, 3), and what it is worth."""
        self.pictures.append(picture)
        self.who.append(who)
        self.points.append(points)
        self.weight += weight

    def expected(self, picture: int, times: np.ndarray) -> np.ndarray:
        """Keypoints (K, 3) in a later picture, if the person goes on as fast as of late."""
        last, before = self.points[-1], self.points[-min(RECENT, len(self.points))]
        both = _seen(last) & _seen(before)
        if last is before or not both.any():
            return last
        moved = (last[both, :2] - before[both, :2]).mean(0)
        passed = times[self.pictures[-1]] - times[self.pictures[-min(RECENT, len(self.points))]]
        ahead = min(times[picture] - times[self.pictures[-1]], DOUBLES_WITHIN)
        return last + np.float32([*(moved / passed * ahead), 0])


def follow(people: Sequence[np.ndarray], frames: Sequence[int], size: tuple[int, int],
           known: Sequence[bool]) -> list[int | None]:
    """Who of each picture is the person; None where they are not among those who were found.

    people  of each picture everyone's keypoints (P, K, 3), pixels and confidence
    frames  the pictures' numbers, which rise
    size    (H, W) of the pictures
    known   whether those who are given of a picture are known to be the person
    """
    weights = [[prominence(points, size) + (KNOWN if sure else 0) for points in everyone]
               for everyone, sure in zip(people, known, strict=True)]
    steps = np.diff(frames)
    times = np.asarray(frames) / (np.median(steps) if len(steps) else 1)
    solid = [_solid(everyone, weight) for everyone, weight in zip(people, weights, strict=True)]
    found = tracks(people, weights, solid, times, farthest_step(people, solid))
    chosen = [None] * len(people)
    usual = np.median([max(prominence(points, size) for points in everyone)
                       for everyone in people if len(everyone)] or [0])
    for track in chain(found, times, JOINING * usual):
        for picture, who in zip(track.pictures, track.who, strict=True):
            chosen[picture] = who
    return chosen


def prominence(points: np.ndarray, size: tuple[int, int]) -> float:
    """How much keypoints (K, 3) in a picture are the one whom it is of, from 0 to 1."""
    seen = points[_seen(points), :2]
    if not len(seen):
        return 0.0
    middle = np.array(size[::-1]) / 2
    aside = min(np.linalg.norm((seen.max(0) + seen.min(0)) / 2 - middle) / np.linalg.norm(middle), 1)
    return float(min(_extent(points) / max(size), 1) * (1 - aside / 2) * points[:, 2].mean())


def _solid(everyone: np.ndarray, weights: Sequence[float]) -> list[int]:
    """Who of a picture's people (P, K, 3) is no ghost of somebody else."""
    kept = []
    for who in sorted(range(len(everyone)), key=lambda who: -weights[who]):
        if all(distance(everyone[who], everyone[other]) > GHOST for other in kept):
            kept.append(who)
    return kept


def farthest_step(people: Sequence[np.ndarray], solid: Sequence[list[int]]) -> float:
    """How far a person gets from one picture to the next at the most, as a share of their size.

    Pictures may be many or few a second: it is told by the median way from the most prominent person of a
    picture to whoever is nearest in the next.
    """
    ways = [min(distance(people[picture][one[0]], people[picture + 1][who]) for who in other)
            for picture, (one, other) in enumerate(zip(solid, solid[1:], strict=False)) if one and other]
    return float(np.clip(STEPS * np.median(ways), LEAST_STEP, FARTHEST_STEP)) if ways else FARTHEST_STEP


def tracks(people: Sequence[np.ndarray], weights: Sequence[Sequence[float]], solid: Sequence[list[int]],
           times: np.ndarray, farthest: float) -> list[Track]:
    """All solid detections as tracks: everyone is whom they most likely were before, or somebody new."""
    ended, active = [], []
    for picture, everyone in enumerate(solid):
        ended += [track for track in active if picture - track.pictures[-1] > PATIENCE]
        active = [track for track in active if picture - track.pictures[-1] <= PATIENCE]
        costs = np.full((len(active), len(everyone)), np.inf)
        for row, track in enumerate(active):
            expected = track.expected(picture, times)
            costs[row] = [distance(expected, people[picture][who]) for who in everyone]
            costs[row, costs[row] > farthest * _patience(track, picture, times)] = np.inf
        taken = dict(_cheapest(costs))
        for column, who in enumerate(everyone):
            if column not in taken:
                active.append(Track([], [], []))
            active[taken.get(column, -1)].add(picture, who, people[picture][who], weights[picture][who])
    return ended + active


def _cheapest(costs):
    """Pairs (column, row) of the cheapest assignment, of as many pairs of finite cost as there can be."""
    never = 1e6
    for row, column in zip(*linear_sum_assignment(np.minimum(costs, never)), strict=True):
        if costs[row, column] < never:
            yield column, row


def chain(found: list[Track], times: np.ndarray, price: float) -> list[Track]:
    """Of the tracks those of the one person who is the most prominent; each join has its price."""
    found = sorted(found, key=lambda track: track.pictures[-1])
    best, before = [], []
    for track in found:
        earlier = [row for row in range(len(best))
                   if best[row] > price and found[row].pictures[-1] < track.pictures[0]]
        goes_on = next((row for row in sorted(earlier, key=lambda row: -best[row])
                        if _can_be(found[row], track, times)), None)
        before.append(goes_on)
        best.append(track.weight + (best[goes_on] - price if goes_on is not None else 0))
    row, links = (int(np.argmax(best)) if best else None), []
    while row is not None:
        links.append(found[row])
        row = before[row]
    return links[::-1]


def _can_be(earlier: Track, later: Track, times) -> bool:
    """Whether the second track may be of the person whom the first one lost."""
    picture = later.pictures[0]
    sizes = [max(map(_extent, points)) for points in (earlier.points[-RECENT:], later.points[:RECENT])]
    if max(sizes) > LARGEST_CHANGE * min(sizes):
        return False
    if times[picture] - times[earlier.pictures[-1]] > ANYWHERE_AFTER:
        return True
    away = distance(earlier.expected(picture, times), later.points[0])
    return away <= FARTHEST_STEP * _patience(earlier, picture, times)


def _patience(track, picture, times):
    """How many times as far as in one step a person may be who was not seen since a track's end."""
    return 1 + (times[picture] - times[track.pictures[-1]] - 1) / DOUBLES_WITHIN


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """How far the keypoints (K, 3) that both have are apart, as a share of the larger one's size.

    The mean of their distances and of their middles' distance: limbs swing, and a body turns on the spot.
    More if they are few.
    """
    seen, looked = _seen(one), _seen(other)
    both = seen & looked
    if not both.any():
        return np.inf
    # half of a person's points are a poor witness: as unlikely as a step of their share's inverse
    share = both.sum() / max(seen.sum(), looked.sum())
    moved = one[both, :2] - other[both, :2]
    away = np.linalg.norm(moved, axis=1).mean() + np.linalg.norm(moved.mean(0))
    return float(away / 2 / max(_extent(one), _extent(other)) / share)


def _extent(points):
    """A person's height or width, whichever is larger, pixels; at least 1."""
    seen = points[_seen(points), :2]
    return float(max(np.ptp(seen, axis=0).max(), 1.0)) if len(seen) else 1.0


def _seen(points):
    """The keypoints (K,) that are half as sure as the surest: also those of someone who is hardly seen."""
    return (points[:, 2] > 0) & (points[:, 2] >= points[:, 2].max() / 2)
