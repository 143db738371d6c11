"""Cloth and hair in motion: position-based dynamics of particles, tied in pairs, over a moving body.

All garments and all hair of a person are one system, advanced in ticks of fixed length, so that the pictures'
rate changes nothing. Constraints are projected one after another in a fixed order (Gauss-Seidel), in one
thread of a Warp kernel on the CPU: that converges fast, and the same start gives the same bytes.

Source: Müller et al., "Position Based Dynamics", 2007; Macklin et al., "Small Steps in Physics Simulation",
2019 (many substeps with few iterations).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

import anr_core.rasterizer.warp  # noqa: F401 (starts Warp, in silence)

TICK = 1 / 60  # seconds; the body moves in straight lines within one
SUBSTEPS = 4  # in a tick
GRAVITY = -9.81
NEIGHBOURS = 10  # of a vertex of the body that a contact may move to

wp.set_module_options({"enable_backward": False})


@dataclass(frozen=True)
class Threads:
    """Particles and what ties them; arrays of N particles and M pairs, float32 and int32.

    rest      (N, 3)     where particles hang in the zero pose, metres
    joints    (N, 8)     joints that carry a particle's target, with weights (N, 8)
    pairs     (M, 2)     with lengths (M,) and stiffness (M, 2) against stretching and against shortening,
                         in [0, 1] a substep
    pull      (N,)       share of the way to its target that a particle is pulled in a substep; 1 is fixed
    tether    (N,)       metres that a particle may be away from its target
    drag      (N,)       1 / second, of the speed relative to the target
    clearance (N,)       metres that a particle keeps from what it touches
    contacts  (N, 2)     vertices of the body that contacts start at, or -1
    range     (N,)       metres, at rest, that a particle's first contact may be away from it, and it stays on
                         the side of the limb where it began: no sleeve on the forearm takes hold of the upper
                         arm when the elbow bends, and none falls through the arm
    neighbours (V, 10)   of the body's vertices, padded with -1
    faces     (F, 3)     of the body
    region    (V,)       of the body's vertices: a contact doesn't leave the region where it began
    """

    rest: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray
    stiffness: np.ndarray
    pull: np.ndarray
    tether: np.ndarray
    drag: np.ndarray
    clearance: np.ndarray
    contacts: np.ndarray
    range: np.ndarray
    neighbours: np.ndarray
    faces: np.ndarray
    region: np.ndarray


class Cloth:
    """A system in motion; begins at rest in the zero pose."""

    def __init__(self, threads: Threads, body_rest, body_joints, body_weights):
        self.count, self.body_count = len(threads.rest), len(body_rest)
        array = {"rest": wp.vec3, "lengths": float, "stiffness": wp.vec2, "pull": float, "tether": float,
                 "drag": float, "clearance": float, "range": float, "weights": float}
        for name in Threads.__dataclass_fields__:
            setattr(self, name, _array(getattr(threads, name), array.get(name, wp.int32)))
        self.body = (_array(body_rest, wp.vec3), _array(body_joints, wp.int32), _array(body_weights, float))
        self.places = wp.clone(self.rest)
        self.speeds = wp.zeros(self.count, wp.vec3, device="cpu")
        self.before = wp.clone(self.rest)  # scratch of a substep
        self.targets, self.skin = wp.clone(self.rest), wp.clone(self.body[0])
        self.home, self.normals_rest = wp.clone(self.contacts), self._normals(self.skin)

    def advance(self, transforms: np.ndarray):
        """One tick: the body goes to joint transforms (J, 4, 4), world from zero pose; the cloth follows."""
        self.lag = self.places.numpy() - self.targets.numpy()
        matrices = _array(transforms, wp.mat44)
        targets, skin = wp.empty_like(self.targets), wp.empty_like(self.skin)
        _run(_skinned, self.count, self.rest, self.joints, self.weights, matrices, targets)
        _run(_skinned, self.body_count, *self.body, matrices, skin)
        normals = self._normals(skin)
        _run(_walk, self.count, self.contacts, self.neighbours, self.places, skin,
             self.body[0], self.rest, self.range, self.normals_rest, self.home, self.region)
        _run(_substeps, 1, self.places, self.speeds, self.before, self.targets, targets, self.skin, skin,
             normals, self.pairs, self.lengths, self.stiffness, self.pull, self.tether, self.drag,
             self.clearance, self.contacts)
        self.targets, self.skin = targets, skin

    def seen(self, transforms: np.ndarray, back: float) -> np.ndarray:
        """Places (N, 3) in a pose a share of a tick before the last one; the lag is interpolated."""
        matrices, targets = _array(transforms, wp.mat44), wp.empty_like(self.targets)
        _run(_skinned, self.count, self.rest, self.joints, self.weights, matrices, targets)
        lag = self.places.numpy() - self.targets.numpy()
        return targets.numpy() + lag + back * (self.lag - lag)

    def _normals(self, skin):
        normals = wp.zeros(self.body_count, wp.vec3, device="cpu")
        _run(_add_normals, len(self.faces), self.faces, skin, normals)
        _run(_normalise, self.body_count, normals)
        return normals

    def start(self, transforms: np.ndarray):
        """Put everything where the body carries it, at rest."""
        matrices = _array(transforms, wp.mat44)
        _run(_skinned, self.count, self.rest, self.joints, self.weights, matrices, self.targets)
        _run(_skinned, self.body_count, *self.body, matrices, self.skin)
        wp.copy(self.places, self.targets)
        self.speeds.zero_()


def _array(values, dtype):
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device="cpu")


def _run(kernel, count, *inputs):
    wp.launch(kernel, dim=count, inputs=inputs, device="cpu")


@wp.kernel
def _skinned(rest: wp.array(dtype=wp.vec3), joints: wp.array2d(dtype=wp.int32),
             weights: wp.array2d(dtype=float), matrices: wp.array(dtype=wp.mat44),
             out: wp.array(dtype=wp.vec3)):
    i = wp.tid()
    place = wp.vec3()
    for k in range(joints.shape[1]):
        if weights[i, k] > 0.0:
            place += weights[i, k] * wp.transform_point(matrices[joints[i, k]], rest[i])
    out[i] = place


@wp.kernel
def _add_normals(faces: wp.array2d(dtype=wp.int32), skin: wp.array(dtype=wp.vec3),
                 normals: wp.array(dtype=wp.vec3)):
    f = wp.tid()
    i = faces[f, 0]
    j = faces[f, 1]
    k = faces[f, 2]
    normal = wp.cross(skin[j] - skin[i], skin[k] - skin[i])
    wp.atomic_add(normals, i, normal)
    wp.atomic_add(normals, j, normal)
    wp.atomic_add(normals, k, normal)


@wp.kernel
def _normalise(normals: wp.array(dtype=wp.vec3)):
    i = wp.tid()
    normals[i] = wp.normalize(normals[i])


@wp.kernel
def _walk(contacts: wp.array2d(dtype=wp.int32), neighbours: wp.array2d(dtype=wp.int32),
          places: wp.array(dtype=wp.vec3), skin: wp.array(dtype=wp.vec3),
          skin_rest: wp.array(dtype=wp.vec3), rest: wp.array(dtype=wp.vec3), reach: wp.array(dtype=float),
          normals_rest: wp.array(dtype=wp.vec3), home: wp.array2d(dtype=wp.int32),
          region: wp.array(dtype=wp.int32)):
    """Each contact moves to the nearest vertex around, from neighbour to neighbour."""
    i = wp.tid()
    for slot in range(contacts.shape[1]):
        at = contacts[i, slot]
        if at >= 0:
            nearest = wp.length_sq(skin[at] - places[i])
            moving = wp.int32(1)
            steps = wp.int32(0)
            while moving == 1 and steps < 6:
                moving = wp.int32(0)
                here = at
                for k in range(neighbours.shape[1]):
                    other = neighbours[here, k]
                    allowed = other >= 0
                    if allowed:
                        allowed = region[other] == region[at]
                    if slot == 0 and allowed:
                        same_side = wp.dot(normals_rest[other], normals_rest[home[i, 0]]) > 0.1
                        allowed = same_side and wp.length(skin_rest[other] - rest[i]) < reach[i]
                    if allowed:
                        distance = wp.length_sq(skin[other] - places[i])
                        if distance < nearest:
                            nearest = distance
                            at = other
                            moving = wp.int32(1)
                steps += 1
            contacts[i, slot] = at


@wp.kernel
def _substeps(places: wp.array(dtype=wp.vec3), speeds: wp.array(dtype=wp.vec3),
              before: wp.array(dtype=wp.vec3), targets0: wp.array(dtype=wp.vec3),
              targets1: wp.array(dtype=wp.vec3), skin0: wp.array(dtype=wp.vec3),
              skin1: wp.array(dtype=wp.vec3), normals: wp.array(dtype=wp.vec3),
              pairs: wp.array2d(dtype=wp.int32), lengths: wp.array(dtype=float),
              stiffness: wp.array(dtype=wp.vec2), pull: wp.array(dtype=float), tether: wp.array(dtype=float),
              drag: wp.array(dtype=float), clearance: wp.array(dtype=float),
              contacts: wp.array2d(dtype=wp.int32)):
    step = wp.static(TICK / SUBSTEPS)
    for s in range(wp.static(SUBSTEPS)):
        share = wp.float32(s + 1) / float(wp.static(SUBSTEPS))
        for i in range(places.shape[0]):
            carried = (targets1[i] - targets0[i]) / wp.static(TICK)
            lag = (speeds[i] - carried) * wp.exp(-drag[i] * step)
            if wp.length(lag) > 2.0:  # m/s: a fast punch must not tear a sleeve off
                lag = lag * (2.0 / wp.length(lag))
            before[i] = places[i]
            fall = wp.vec3(0.0, 0.0, wp.static(GRAVITY)) * step
            places[i] = places[i] + (carried + lag + fall) * step
        for c in range(pairs.shape[0]):
            one = pairs[c, 0]
            other = pairs[c, 1]
            apart = places[other] - places[one]
            length = wp.length(apart)
            give = stiffness[c][0]
            if length < lengths[c]:
                give = stiffness[c][1]
            move = apart * (0.5 * give * (length - lengths[c]) / wp.max(length, 1.0e-6))
            places[one] = places[one] + move
            places[other] = places[other] - move
        for i in range(places.shape[0]):
            target = targets0[i] + share * (targets1[i] - targets0[i])
            place = places[i] + pull[i] * (target - places[i])
            away = place - target
            if wp.length(away) > tether[i]:
                place = target + away * (tether[i] / wp.length(away))
            for slot in range(contacts.shape[1]):
                at = contacts[i, slot]
                if at >= 0:
                    carried = (skin1[at] - skin0[at]) * wp.static(1.0 / SUBSTEPS)
                    point = skin0[at] + share * (skin1[at] - skin0[at])
                    normal = normals[at]
                    depth = clearance[i] - wp.dot(place - point, normal)
                    # far from the vertex its plane is no longer the surface
                    if depth > 0.0 and wp.length(place - point) < 0.06:
                        place = place + wp.min(depth, 0.02) * normal
                        slide = place - before[i] - carried
                        slide = slide - wp.dot(slide, normal) * normal
                        place = place - 0.35 * slide  # friction
            places[i] = place
        for i in range(places.shape[0]):
            speeds[i] = (places[i] - before[i]) / step
