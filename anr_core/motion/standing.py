"""How somebody stands in the pictures of a camera that rests: where the floor is, and how tall they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.motion.keypoints import FlatMotion
from anr_core.motion.steady import MISSING, filled
from anr_core.skeleton import BODY25

# Joints that tell where the floor is, the best first: who is cut off at the knees stands on those.
STANDS_ON = (("ankle", "big_toe", "small_toe", "heel"), ("knee",), ("hip",))
# What adds up to how tall somebody is, each as long as it is ever seen. Not the head: from neck to nose one
# man has 62 or 85 pixels, as he looks down or up, where his trunk and legs have 403 and 405.
TALL = (("neck", "middle_hip"), ("hip", "knee"), ("knee", "ankle"))
SEEN = 0.1       # share of frames in which something has to be seen to tell anything
HOP = 0.5        # seconds to both sides: who is off the floor for less jumps, for more is farther away
STEADY = 5       # frames whose median is looked at: one that is mistaken doesn't tell the floor
RARE = 0.05      # share of frames, the farthest and the nearest, that don't tell the walk's ends
ENDS = 0.2       # of the walk, from both ends: there people are measured, far and near
UPRIGHT = 0.9    # quantile of lengths in a picture: they are foreshortened, and hardly ever too long
# Of their height, and how many times they grow: who walks less than this stays at one distance.
WALKS, GROWS = 0.08, 1.1


@dataclass(frozen=True)
class Standing:
    """How somebody stands, far from the camera and near; both are alike for who stays at one distance.

    floor   (2,)  y of their feet, pixels
    tall    (2,)  length along trunk and legs, pixels
    line    (n,)  y of the floor where they are, frame by frame
    across  (n,)  x of their hips
    """

    floor: torch.Tensor
    tall: torch.Tensor
    line: torch.Tensor
    across: torch.Tensor

    @property
    def walks(self) -> bool:
        """Whether they come nearer or go away."""
        return bool(self.floor[0] != self.floor[1])

    @property
    def share(self) -> torch.Tensor:
        """(n,) where they are, between far (0) and near (1)."""
        if not self.walks:
            return torch.full_like(self.line, 0.5)
        return (self.line - self.floor[0]) / (self.floor[1] - self.floor[0])

    @property
    def height(self) -> torch.Tensor:
        """(n,) how tall they are where they are, pixels."""
        return torch.lerp(self.tall[0], self.tall[1], self.share).clamp(min=0.3 * float(self.tall[1]))

    @property
    def middle(self) -> float:
        """x of the middle of their walk."""
        low, high = self.across.quantile(torch.tensor([RARE, 1 - RARE]).to(self.across))
        return float(low + high) / 2


def of_body(motion: FlatMotion) -> torch.Tensor:
    """(n, 25, 3) float64, the points of BODY25 in a motion, whose gaps are filled.

    A hip or a shoulder that is never seen is where the other one is, at confidence 0.
    """
    points = motion.of_skeleton(BODY25).points.double()
    points = filled(points, motion.frames / motion.fps)
    for name, stem in (("neck", "shoulder"), ("middle_hip", "hip")):
        for side, other in (("left", "right"), ("right", "left")):
            one, two = _row(f"{side}_{stem}"), _row(f"{other}_{stem}")
            if not bool(points[:, one, 2].any()):
                points[:, one, :2] = points[:, two, :2]
        if not bool(points[:, _row(name), 2].any()):
            points[:, _row(name)] = points[:, [_row(f"{side}_{stem}") for side in ("left", "right")]].mean(1)
    return points


def in_common(*people: torch.Tensor) -> set[str]:
    """Names of the joints of BODY25 that are seen in films (n, 25, 3) of all of these people."""
    shares = torch.stack([(points[..., 2] > MISSING).double().mean(0) for points in people]).amin(0)
    return {name for name, share in zip(BODY25.names, shares.tolist(), strict=True) if share >= SEEN}


def standing(motion: FlatMotion, points: torch.Tensor, shown: set[str]) -> Standing:
    """How the person of a motion stands, told by some joints of its points (n, 25, 3), those of `of_body`."""
    feet = standing_on(shown)
    limbs = [limb for limb in TALL if limb_known(limb, shown)]
    if not limbs:
        raise ValueError(f"{motion.source} shows neither trunk nor legs of the person: nobody can be "
                         "measured by it. Use --align none, or a film of whole people.")
    lengths = [limb_length(points, limb, shown) for limb in limbs]
    line = floor_line(lowest(points, feet), motion)
    across = points[:, _row("middle_hip"), 0]
    low, high = line.quantile(line.new_tensor([RARE, 1 - RARE]))
    once = line.median().expand(2), sum(length.quantile(UPRIGHT) for length in lengths).expand(2)
    if high - low <= WALKS * once[1][0]:
        return Standing(*once, line, across)
    ends = sum(_ends(length, line, low, high) for length in lengths)
    if not ends[1] > GROWS * ends[0]:  # lower down, but no nearer: on stairs, or lying
        return Standing(*once, line, across)
    return Standing(torch.stack([low, high]), ends, line, across)


def _ends(length, line, low, high):
    """(2,) how long something is at both ends of a walk, by the frames near to them."""
    far, near = line <= low + ENDS * (high - low), line >= high - ENDS * (high - low)
    grows = (length[near].median() - length[far].median()) / (line[near].median() - line[far].median())
    return torch.stack([(length[part] + grows * (end - line[part])).quantile(UPRIGHT)
                        for part, end in ((far, low), (near, high))])


def standing_on(shown: set[str]) -> list[str]:
    """Of joints that are shown, those that are nearest to the floor in somebody who stands."""
    sides = ([f"{side}_{stem}" for stem in stems for side in ("left", "right")] for stems in STANDS_ON)
    return next(found for names in sides if (found := [name for name in names if name in shown]))


def lowest(points: torch.Tensor, names: list[str]) -> torch.Tensor:
    """(n,) the largest y of some joints of points (n, 25, 3)."""
    return points[:, [_row(name) for name in names], 1].amax(1)


def floor_line(feet: torch.Tensor, motion: FlatMotion) -> torch.Tensor:
    """(n,) the floor's y below somebody whose lowest foot is at y (n,); short jumps don't lift it."""
    step = float(motion.frames.double().diff().median()) if len(motion.frames) > 1 else 1.0
    reach = round(HOP * motion.fps / step)
    line = _windows(feet, STEADY // 2).median(-1).values
    line = _windows(line, reach).amax(-1)
    return _windows(_windows(line, reach).amin(-1), reach).mean(-1)


def _windows(values, reach):
    """(n, 2 reach + 1) what is around each of (n,) values; beyond the ends they go on as they came."""
    reach = min(reach, len(values) - 1)
    before, after = values[1:reach + 1].flip(0), values[-reach - 1:-1].flip(0)
    return torch.cat([2 * values[:1] - before, values, 2 * values[-1:] - after]).unfold(0, 2 * reach + 1, 1)


def limb_known(limb: tuple[str, str], shown: set[str]) -> bool:
    """Whether both ends of a limb are shown, on either side."""
    return any(set(ends) <= shown for ends in both_sides(limb))


def limb_length(points: torch.Tensor, limb: tuple[str, str], shown: set[str]) -> torch.Tensor:
    """(n,) pixels, of a limb without a side; of the two sides' that which is seen longer."""
    return torch.stack([(points[:, _row(one), :2] - points[:, _row(other), :2]).norm(dim=-1)
                        for one, other in both_sides(limb) if {one, other} <= shown]).amax(0)


def both_sides(limb: tuple[str, str]) -> set[tuple[str, str]]:
    """A limb such as (hip, knee) or (neck, shoulder) by the names of its joints, on the left and right."""
    return {tuple(end if end in BODY25.names else f"{side}_{end}" for end in limb)
            for side in ("left", "right")}


def _row(name):
    return BODY25.names.index(name)
