"""A body fitted to registered meshes of another topology, or to their bare points.

    shape, pose = fit_meshes(figure, target, starts)

A registration's meshes know where a point of the person is in every frame. So one frame is fitted first, by
nearest surfaces, from every start; then it is known what belongs together at all frames, and no pose is too
far away to be found. That and the shape are found ever better in frames spread over the whole; the others
follow in windows. How people move is in the meshes already, so no smoothness is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import roma
import torch

from anr_core.body import Body, Pose
from anr_core.prepare.fitting import windows
from anr_core.prepare.fitting.energy import robust
from anr_core.prepare.fitting.figures import AnnyFigure
from anr_core.prepare.fitting.smpl_figure import SmplFigure
from anr_core.prepare.fitting.surfaces import (
    described,
    distances,
    evenly,
    nearest,
    partners,
    vertex_normals,
)

# Frames, spread evenly: which tell the shape, one of which is fitted first, that tell what belongs together,
# and whose distances are measured.
SPREAD, TRIED, COMPARED, MEASURED = 24, 6, 8, 24

# Metres between points, first and last, and how many there are of a mesh's own vertices beside, which are
# denser in hands and faces.
COARSE, FINE, OWN = 0.05, 0.03, 1500

# Metres that surfaces which agree are apart, across them and along, where a place on one person is only about
# that on another; beyond OUTLIER of them a distance hardly counts. How many independent observations the
# points of a frame are worth.
ACROSS, ALONG, OUTLIER, EVIDENCE = 0.006, 0.03, 3.0, 400.0

POSE = ("rotations", "root_rotation", "root_translation")
STEP = {"rotations": 0.04, "root_rotation": 0.03, "root_translation": 0.02, "shape": 0.15}  # at first
# Steps: from each start alone; to all frames; of all with the shape; of those in between.
ALONE, CARRIED, AGREED, FOLLOWED = 120, 80, 150, 70
NEW_PARTNERS = 10  # steps after which points find new partners


@dataclass(frozen=True)
class Target:
    """Meshes of one registration: frames (F,) that rise, points (F, N, 3) in metres, and faces."""

    frames: torch.Tensor
    points: torch.Tensor
    faces: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> Target:
        return replace(self, frames=self.frames[rows], points=self.points[rows])

    @property
    def normals(self) -> torch.Tensor:
        """(F, N, 3)"""
        return vertex_normals(self.points, self.faces)


@dataclass(frozen=True)
class Pairs:
    """P pairs of a figure's point and the place that it should come to, in F frames.

    chosen  what poses the figure's points
    row     (F or 1, P)  which of them
    place   (F, P, 3)    metres
    normal  (F, P, 3)    of the figure, unit
    """

    chosen: object
    row: torch.Tensor
    place: torch.Tensor
    normal: torch.Tensor


def fit_meshes(figure: AnnyFigure | SmplFigure, target: Target, starts: Callable[[torch.Tensor], Pose]
               ) -> tuple[torch.Tensor, Pose]:
    """The shape of a figure, and its poses in the target's frames.

    starts  of frame numbers (n,), the poses (n * S) that S fits of each frame start from, anywhere
    """
    count = len(target.frames)
    some = target[_spread(count, SPREAD)]
    tried = _spread(len(some.frames), TRIED)
    shape = figure.as_tall(_length(some.points))
    row, pose = _first(figure, shape, some[tried], starts(some.frames[tried]))
    shape, pose, together = _agreed(figure, shape, some, int(tried[row]), pose)
    if count > len(some.frames):
        parts = [_followed(figure, shape, target[torch.arange(start, stop)], pose, together)[
                 first - start:last - start] for start, stop, first, last in windows(count)]
        pose = Pose(*(torch.cat([getattr(part, name) for part in parts]) for name in POSE))
    return shape, replace(pose, frame=target.frames)


def measured(body: Body, pose: Pose, target: Target) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (n,) spread over all, and how far the target's points are from the body: (n, N) metres."""
    rows = _spread(len(pose), MEASURED)
    with torch.no_grad():
        found = [distances(target.points[row], body(pose[row:row + 1]).vertices[0], body.surface.faces)
                 for row in rows.tolist()]
    return target.frames[rows], torch.stack(found)


def _spread(count, most):
    """(n,) rows, at most so many, evenly over all."""
    return torch.linspace(0, count - 1, min(count, most)).round().long()


def _length(points):
    """Metres that the points (F, N, 3) of a person who stands, or lies, stretch over: the median frame's."""
    about = points - points.mean(1, keepdim=True)
    along = torch.linalg.eigh(about.mT @ about)[1][:, :, -1:]
    reach = (about @ along)[..., 0]
    return float((reach.amax(1) - reach.amin(1)).median())


# the stages

def _first(figure, shape, target, starts):
    """Of frames (n) and their starts (n * S), the row of the frame that is fitted best, and its pose (1)."""
    frame = torch.arange(len(target.frames)).repeat_interleave(len(starts) // len(target.frames))
    thin = evenly(target.points[0], COARSE)
    theirs = described(target.points, target.normals)[:, thin]
    mesh = _mesh(figure, shape, starts)
    vertex = evenly(mesh[0], COARSE)
    chosen = figure.choose(vertex)
    middles = [(points.amin(1) + points.amax(1)) / 2 for points in (target.points[frame], mesh)]
    pose = replace(starts, root_translation=starts.root_translation + middles[0] - middles[1])

    def pairing(shape, pose):
        mesh = _mesh(figure, shape, pose)
        normal = vertex_normals(mesh, figure.faces)[:, vertex]
        mine = described(mesh[:, vertex], normal)
        rows, places = [], []
        for points, which in zip(mine, frame, strict=True):
            rows.append(torch.cat([torch.arange(len(vertex)), nearest(theirs[which], points)]))
            partner = torch.cat([nearest(points, theirs[which]), torch.arange(len(thin))])
            places.append(target.points[which, thin[partner]])
        row = torch.stack(rows)
        return Pairs(chosen, row, torch.stack(places), normal.gather(1, row[..., None].expand(-1, -1, 3)))

    _, pose, costs = moved(figure, shape, pose, pairing, POSE, ALONE, sharp=(0.1, 0.5))
    best = int(costs.argmin())
    return int(frame[best]), pose[best:best + 1]


def _agreed(figure, shape, target, row, pose):
    """Shape, poses of all frames and what belongs together, from the pose (1) of one row."""
    compared = _spread(len(target.frames), COMPARED)
    together = _together(figure, shape, pose, target[torch.tensor([row])])
    pose = Pose(*(getattr(pose, name).repeat_interleave(len(target.frames), 0) for name in POSE))
    pose = _carried(figure, shape, pose, target, together)

    def pairing(shape, pose):
        return _pairs(figure, target, _together(figure, shape, pose[compared], target[compared]), shape, pose)

    shape, pose, _ = moved(figure, shape, pose, pairing, (*POSE, "shape"), AGREED, sharp=(0.2, 1.0),
                           fingers=0.7)
    return (shape, replace(pose, frame=target.frames),
            _together(figure, shape, pose[compared], target[compared]))


def _followed(figure, shape, target, known, together):
    """Poses of frames between those that are known."""
    pose = _carried(figure, shape, replace(known.at(target.frames), frame=None), target, together)
    return moved(figure, shape, pose, partial(_pairs, figure, target, together), POSE, FOLLOWED,
                 sharp=(0.3, 1.0), fingers=0.5)[1]


def _carried(figure, shape, pose, target, together):
    """Poses near to the target's, from any: as a whole, then joint by joint, each point to its own place."""
    pose = _turned(figure, shape, pose, target, together)
    return moved(figure, shape, pose, partial(_pairs, figure, target, together), POSE, CARRIED,
                 sharp=(0.2, 0.2), along=ACROSS)[1]


# what belongs together

def _together(figure, shape, pose, target):
    """Vertices of the figure (P,) and points of the target (P,) that belong together, from either side."""
    mesh = _mesh(figure, shape, pose)
    mine = described(mesh, vertex_normals(mesh, figure.faces))
    theirs = described(target.points, target.normals)
    my_some, their_some = _some(mesh[0]), _some(target.points[0])
    return (torch.cat([my_some, partners(theirs[:, their_some], mine)]),
            torch.cat([partners(mine[:, my_some], theirs), their_some]))


def _some(points):
    return torch.cat([evenly(points, FINE), _spread(len(points), OWN)]).unique()


def _pairs(figure, target, together, shape, pose):
    """What belongs together as pairs, as things are now."""
    mine, theirs = together
    vertex, row = mine.unique(return_inverse=True)
    normal = [vertex_normals(_mesh(figure, shape, pose[part]), figure.faces)[:, mine]
              for part in torch.arange(len(pose)).split(8)]
    return Pairs(figure.choose(vertex), row[None], target.points[:, theirs], torch.cat(normal))


@torch.no_grad()
def _mesh(figure, shape, pose):
    """(F, V, 3) the figure's vertices."""
    return figure.points(figure.rest(shape, figure.everything), pose, figure.everything)


def _turned(figure, shape, pose, target, together):
    """The poses turned and shifted as a whole to where what belongs together is nearest."""
    there = target.points[:, together[1]]
    turn, _ = roma.rigid_points_registration(_belonging(figure, shape, pose, together), there)
    root = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(pose.root_rotation))
    pose = replace(pose, root_rotation=root)  # about whatever point the body turns about
    shift = (there - _belonging(figure, shape, pose, together)).mean(1)
    return replace(pose, root_translation=pose.root_translation + shift)


def _belonging(figure, shape, pose, together):
    """(F, P, 3) the figure's vertices of what belongs together."""
    return torch.cat([_mesh(figure, shape, pose[part])[:, together[0]]
                      for part in torch.arange(len(pose)).split(8)])


# the search

def moved(figure: AnnyFigure | SmplFigure, shape: torch.Tensor, pose: Pose, pairing: Callable[..., Pairs],
          free: tuple[str, ...], steps: int, sharp: tuple[float, float],
          fingers: float = 1.0, along: float = ALONG) -> tuple[torch.Tensor, Pose, torch.Tensor]:
    """The likeliest shape and poses near to those given, and what each frame's pairs cost (F,).

    pairing  gives the pairs of a shape and poses, every NEW_PARTNERS steps
    free     what may change: fields of Pose, or "shape"
    sharp    divides the distances that are expected, first and last
    fingers  share of the steps after which they move, too: before, the nearest may be the next finger
    along    metres that pairs are apart along the surface
    """
    given = {name: getattr(pose, name) for name in POSE} | {"shape": shape}
    root = roma.rotvec_to_rotmat(pose.root_rotation)
    change = {name: torch.zeros_like(given[name]).requires_grad_() for name in free}
    optimiser = torch.optim.Adam([{"params": [change[name]], "rate": STEP[name]} for name in free],
                                 betas=(0.9, 0.99))

    def now(done):
        values = {name: value + change[name] if name in change else value for name, value in given.items()}
        if done < fingers:
            values["rotations"] = torch.where(figure.fingers[:, None], given["rotations"],
                                              values["rotations"])
        turned = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(change["root_rotation"]) @ root)
        return values.pop("shape"), Pose(**values | {"root_rotation": turned})

    for step in range(steps):
        done = step / steps
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * (1 - done) ** 0.7
        shape, pose = now(done)
        if step % NEW_PARTNERS == 0:
            with torch.no_grad():
                pairs = pairing(shape, pose)
        if step % NEW_PARTNERS == 0 or "shape" in free:
            rest = figure.rest(shape, pairs.chosen)
        points = figure.points(rest, pose, pairs.chosen)
        points = points.gather(1, pairs.row[..., None].expand(len(pose), -1, 3))
        scale = sharp[0] + (sharp[1] - sharp[0]) * min(1.5 * done, 1)
        costs = EVIDENCE * robust(scale**2 * _apart(points, pairs, along), OUTLIER).mean(1)
        cost = costs.sum() + figure.cost(shape, pose)
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    with torch.no_grad():
        shape, pose = now(1.0)
    return shape, pose, costs.detach()


def _apart(points, pairs, along):
    """(F, P) squared distances of pairs, in those that are expected."""
    off = points - pairs.place
    across = (off * pairs.normal).sum(-1).square()
    return across / ACROSS**2 + (off.square().sum(-1) - across) / along**2
