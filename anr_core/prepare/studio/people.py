"""The studio's people: who subject N is, what they wear, and how body, clothes and hair move.

    person = subject(3)
    for moment in moments(person, frames=40, fps=10): ...

World: metres, +Z up, the floor at z = 0. Everybody begins near the origin and faces -Y, the left side at +X.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial import cKDTree

from anr_core.body.anny import AnnyBody, Shape
from anr_core.body.base import Pose
from anr_core.prepare.studio.cloth import TICK, Cloth, Threads
from anr_core.prepare.studio.dressing import hang, strongest
from anr_core.prepare.studio.exercises import Script, write_script
from anr_core.prepare.studio.garments import Garment, skirt, trousers
from anr_core.prepare.studio.hair import Hair, grow_hair
from anr_core.prepare.studio.movement import Rig, animate
from anr_core.prepare.studio.patterns import Figure
from anr_core.prepare.studio.shirts import shirt
from anr_core.prepare.studio.shoes import shoes
from anr_core.rasterizer import vertex_normals

WARM_UP = 0.7  # share of the frames; the rest is punching
SOLE = 0.022  # metres, of shoes
EXERCISED = 16.0  # seconds that all exercises of the warm-up take
STRANGERS = 1_000_000
SETTLING = 1.5  # seconds before the first frame, for cloth to come to rest


@dataclass(frozen=True)
class Layer:
    """One piece of a dressed person; constant.

    faces     (F, 3)  int64
    uv        (U, 2)  in [0, 1], origin at the bottom left
    uv_faces  (F, 3)  int64
    boxes     named charts, (left, bottom, right, top) in uv; in a garment's charts v goes up and u to the
              right as seen from outside, at one scale
    metres    of cloth that a unit of uv is; None for the skin
    """

    name: str
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    boxes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    metres: float | None = None


@dataclass(frozen=True)
class Looks:
    """What was chosen for a person; the rest of a person's looks is the painter's."""

    shape: Shape
    top: str  # "t-shirt", "shirt", "hoodie"
    bottom: str  # "trousers", "shorts", "skirt"
    hair: str  # "short", "bob", "long", "ponytail", "bun", "curls", "bald"


@dataclass(frozen=True)
class Subject:
    """A person whom nobody filmed, dressed, and where each part lies among the vertices."""

    number: int
    looks: Looks
    body: AnnyBody
    layers: list[Layer]
    garments: list[Garment]
    hair: Hair | None
    threads: Threads
    parts: dict[str, slice]


@dataclass(frozen=True)
class Moment:
    """One frame.

    motion    "warm-up" or "punching"
    pose      of the body, a batch of one
    vertices  layer name -> (V, 3) float32, metres, world
    """

    frame: int
    motion: str
    pose: Pose
    vertices: dict[str, np.ndarray]


def subject(number: int) -> Subject:
    """The person of a number: every non-negative integer is another one, the same number the same bytes."""
    rng = np.random.default_rng([number, 11])
    looks = choose_looks(rng)
    body = AnnyBody(looks.shape)
    figure = figure_of(body)
    garments = [shoes(figure, figure.at("left_ankle")[2] - 0.005, SOLE), *choose_clothes(looks, figure, rng)]
    hair = grow_hair(looks.hair, figure, rng)
    threads, parts = hang(figure, garments, hair)
    surface = body.surface
    layers = [Layer("skin", surface.faces.numpy(), surface.uv.numpy(), surface.uv_faces.numpy())]
    for piece in [*garments, *([hair] if hair else [])]:
        layers.append(Layer(piece.name, piece.triangles, piece.uv.astype(np.float32), piece.uv_triangles,
                            piece.boxes, piece.metres))
    return Subject(number, looks, body, layers, garments, hair, threads, parts)


def choose_looks(rng: np.random.Generator) -> Looks:
    """Adults of all kinds."""
    female = rng.random() < 0.5
    shape = Shape(gender=rng.uniform(0.85, 1) if female else rng.uniform(0, 0.15), age=rng.uniform(0.6, 0.9),
                  muscle=rng.uniform(0.35, 0.8), weight=rng.uniform(0.3, 0.75), height=rng.uniform(0.25, 0.7),
                  proportions=rng.uniform(0.4, 0.8), african=rng.random(), asian=rng.random(),
                  caucasian=rng.random())
    bottom = rng.choice(["trousers", "shorts", "skirt"], p=[0.5, 0.1, 0.4] if female else [0.75, 0.25, 0])
    top = rng.choice(["t-shirt", "shirt", "hoodie"])
    hair = rng.choice(["short", "bob", "long", "ponytail", "bun", "curls"] if female
                      else ["short", "short", "curls", "bald", "long"])
    return Looks(shape, str(top), str(bottom), str(hair))


def choose_clothes(looks: Looks, figure: Figure, rng: np.random.Generator) -> list[Garment]:
    """What a person wears below and above; broad people wear wider cloth, so that outlines differ as much."""
    ankle, knee, hip = (figure.at(f"left_{name}")[2] for name in ("ankle", "knee", "hip"))
    waist = figure.at("spine1")[2] - 0.02
    broad = (figure.at("left_shoulder")[0] / 0.18) ** 3
    if looks.bottom == "trousers":
        bottom = trousers(figure, waist, ankle - 0.012, 0.003 * broad, 0.01 * broad)
    elif looks.bottom == "shorts":
        bottom = trousers(figure, waist, knee + rng.uniform(0, 0.12), 0.009 * broad, 0.018 * broad)
    else:
        bottom = skirt(figure, waist, knee + rng.uniform(0, 0.17), rng.uniform(0.02, 0.045))
    tucked = looks.bottom == "skirt"
    sleeve, width, cuff, collar, neckline = {
        "t-shirt": (rng.uniform(0.35, 0.5), 0.007, 0.01, 0.012, rng.uniform(0.05, 0.09)),
        "shirt": (0.96, 0.005, 0.002, 0.02, 0.045), "hoodie": (0.97, 0.006, 0.002, 0.03, 0.045)}[looks.top]
    hem = hip + (0.04 if tucked else -0.05)
    top = shirt(figure, waist, hem, sleeve, width * broad, cuff * broad, collar, neckline, tucked)
    return [bottom, top]


def figure_of(body: AnnyBody) -> Figure:
    """What clothes are cut to: the body in its rest shape."""
    vertices, faces = body.rest_vertices[0], body.surface.faces
    counts = torch.diff(body.skin_start, append=torch.tensor([len(body.skin_joints)]))
    weights = torch.zeros(len(vertices), len(body.skeleton))
    weights[torch.arange(len(vertices)).repeat_interleave(counts), body.skin_joints] = body.skin_weights
    turns, shift = body.joint_from_rest[0, :, :3, :3], body.joint_from_rest[0, :, :3, 3:]
    joints = -(turns.mT @ shift)[..., 0]
    normals = vertex_normals(vertices[None], faces)[0]
    vertices, normals, weights, joints = (t.double().numpy() for t in (vertices, normals, weights, joints))
    tree = body.skeleton
    return Figure(vertices, normals, faces.numpy(), weights, tree.names, tree.parents, joints)


def moments(subject: Subject, frames: int, fps: float) -> Iterator[Moment]:
    """A person's film, frame by frame: first the warm-up, then punching, in one go.

    Warming up takes about 16 seconds, in an order of the person's own; then it begins again. A short film has
    its first exercises only: 40 frames at 3 a second show most of them.

    Cloth is simulated in ticks from some time before the first frame on, so a frame depends on those before
    it and not on the rate. One frame is held at a time.
    """
    body, warm = subject.body, round(WARM_UP * frames)
    rig, script = _rehearsed(body, subject.number, warm / fps, (frames - warm) / fps)

    cloth = Cloth(subject.threads, body.rest_vertices[0].numpy(), *strongest(figure_of(body).weights))
    tick = -round(SETTLING / TICK)
    film = _Film(rig, script, body)
    cloth.start(film.transforms(tick))
    for frame in range(frames):
        time = frame / fps
        while tick * TICK < time:
            tick += 1
            cloth.advance(film.transforms(tick))
        pose = _poses(body, *animate(rig, script, np.array([time])))
        transforms = _world_from_rest(body, pose)[0]
        places = cloth.seen(transforms, tick - time / TICK)
        skin = body(pose).vertices[0].numpy()
        vertices = {"skin": skin} | _worn(subject, places, skin, cloth.contacts.numpy()[:, 0])
        if subject.hair:
            turn = transforms[body.skeleton.names.index("head"), :3, :3]
            vertices["hair"] = subject.hair.surface(places[subject.parts["hair"]], turn).astype(np.float32)
        yield Moment(frame, "warm-up" if frame < warm else "punching", pose, vertices)


def warming_up(keypoints: str, people: int) -> torch.Tensor:
    """(n, K, 3) keypoints, such as "coco23", of so many people who warm up, four times a second, metres.

    They are none whom a small number names.
    """
    found = []
    for number in range(STRANGERS, STRANGERS + people):
        body = AnnyBody(choose_looks(np.random.default_rng([number, 11])).shape)
        poses = _poses(body, *animate(*_rehearsed(body, number, EXERCISED, 0.0),
                                      np.arange(0, EXERCISED, 0.25)))
        found.append(body.keypoints(body(poses), keypoints))
    return torch.cat(found)


def _rehearsed(body: AnnyBody, number: int, warm: float, punching: float) -> tuple[Rig, Script]:
    """How a person moves, and what they do for so many seconds each."""
    zero = body(_poses(body, {}, np.zeros((1, 3)), np.zeros((1, 3))))
    joints = zero.joints[0].double().numpy()
    rig = Rig(body.skeleton.names, body.skeleton.parents, joints, float(zero.vertices[0, :, 2].min()) - SOLE)
    return rig, write_script(np.random.default_rng([number, 2]), rig.length("leg"), warm, punching)


def _worn(subject: Subject, places, skin, touched) -> dict[str, np.ndarray]:
    """Vertices of garments, whose particles are among places (N, 3) and touch skin (V, 3) at touched (N,)."""
    normals = _normals(skin, subject.layers[0].faces)
    vertices = {}
    for garment in subject.garments:
        part = subject.parts[garment.name]
        vertices[garment.name] = _kept_off(garment.ironed @ places[part], skin, normals, touched[part])
    under, over = ("shirt", "skirt") if "skirt" in vertices else ("trousers", "shirt")
    trunk = subject.threads.region[touched[subject.parts[over]]] == 0  # sleeves cover no trousers
    faces = next(layer.faces for layer in subject.layers if layer.name == over)
    cover = vertices[over]
    vertices[under] = _kept_under(vertices[under], cover[trunk], _normals(cover, faces)[trunk])
    return vertices


def _normals(vertices, faces) -> np.ndarray:
    return vertex_normals(torch.from_numpy(vertices)[None], torch.from_numpy(faces))[0].numpy()


def _kept_off(places, skin, normals, near) -> np.ndarray:
    """Places (N, 3) 3 mm off the skin's vertices near (N,): what ironing has drawn into a bend comes out."""
    away = places - skin[near]
    depth = np.clip(0.003 - (away * normals[near]).sum(1), 0, 0.02) * (np.linalg.norm(away, axis=1) < 0.05)
    return (places + depth[:, None] * normals[near]).astype(np.float32)


def _kept_under(places, over, normals) -> np.ndarray:
    """Places (N, 3) of a garment, 3 mm inside the one that is worn over it (V, 3)."""
    _, near = cKDTree(over).query(places)
    away = places - over[near]
    height = (away * normals[near]).sum(1)
    beside = np.linalg.norm(away - height[:, None] * normals[near], axis=1)
    covered = (beside < 0.015) & (height < 0.03)  # beyond a hem nothing covers it
    return places - (np.maximum(height + 0.003, 0) * covered)[:, None] * normals[near]


class _Film:
    """How the body moves its skin in each tick, worked out a second at a time."""

    def __init__(self, rig: Rig, script, body: AnnyBody):
        self.rig, self.script, self.body = rig, script, body
        self.first, self.table = 0, []

    def transforms(self, tick: int) -> np.ndarray:
        """(J, 4, 4) of a tick; before the film the body comes out of the pose that clothes are cut in."""
        if not self.first <= tick < self.first + len(self.table):
            self.first = tick
            times = np.arange(tick, tick + round(1 / TICK)) * TICK
            share = np.clip(1 + (times + 0.6) / (SETTLING - 0.6), 0, 1)[:, None]
            rotations, root, place = animate(self.rig, self.script, np.maximum(times, 0))
            rotations = {name: share * value for name, value in rotations.items()}
            self.table = _world_from_rest(self.body, _poses(self.body, rotations, share * root, place))
        return self.table[tick - self.first]


def _poses(body: AnnyBody, rotations: dict[str, np.ndarray], root, place) -> Pose:
    table = torch.zeros(len(root), len(body.skeleton) - 1, 3)
    for name, rotation in rotations.items():
        table[:, body.skeleton.names.index(name) - 1] = torch.as_tensor(rotation).float()
    return Pose(table, torch.as_tensor(root).float(), torch.as_tensor(place).float())


def _world_from_rest(body: AnnyBody, pose: Pose) -> np.ndarray:
    """(B, J, 4, 4) how poses move each joint's skin."""
    return (body.world_from_joint(body.rest, pose) @ body.rest.joint_from_rest).numpy()
