"""People whom nobody filmed, in poses that people take: where their keypoints are.

Poses are drawn as angles of Anny's controls (body/controls.py), in the person's own axes: +Z up, looking
along -Y. Most are natural: people stand, walk, squat, reach and gesture; some do what joints allow.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, Rest, baked, regressor, rest_from_shape
from anr_core.body.controls import controls
from anr_core.skeleton import ANNY, BODY25, COCO23, KEYPOINT_SETS, Skeleton

SHAPES = 24  # of a pool, each in as many poses
CHOICES = 8  # poses of which one is taken
ELBOWS = 3.0  # log odds of an elbow that hangs
HANGS = (0.35, 0.25, -1.0)  # where elbows hang: down, a little outwards and back
STANDING = 0.8  # share of people whose feet are at one height, and metres that count as log odds of -1
UNEVEN = 0.05
CROWN = 0.01  # metres below the highest vertex that are the top of the head

# Joints that stand where other skeletons have points of these names
_STANDS_FOR = {"upper_neck": "neck_upper", "thorax": "neck", "spine": "spine2", "middle_hip": "pelvis"}


def knows(skeleton: Skeleton) -> bool:
    """Whether Anny has every joint of a skeleton."""
    return all(_home(name, skeleton) is not None for name in skeleton.names)


def _home(name, skeleton):
    """Which of Anny's tables has a joint; those of keypoints first where a skeleton is a set of such."""
    seen = name in BODY25.names if skeleton == BODY25 else name in COCO23.names
    if seen and skeleton in KEYPOINT_SETS.values():
        return "body25" if skeleton == BODY25 else "coco23"
    if _STANDS_FOR.get(name, name) in ANNY.names:
        return "joints"
    if name == "head_top":
        return "crown"
    return "coco23" if seen else None


def made_up_people(skeleton: Skeleton, count: int, random: torch.Generator) -> torch.Tensor:
    """Joints (count, J, 3) of people of many shapes in many poses, metres, +Z up, about the pelvis.

    Each is one of CHOICES, the likelier the more natural: drawn by chance, limb by limb, most would lift a
    foot or an elbow for nothing, and a regressor that expects such people is unsure of all others.
    """
    drawn = people_by_chance(skeleton, count * CHOICES, random)
    odds = _naturalness(drawn, skeleton, random).view(count, CHOICES)
    choice = torch.multinomial(odds.softmax(1), 1, generator=random)[:, 0]
    return drawn.view(count, CHOICES, *drawn.shape[1:])[torch.arange(count), choice]


def _naturalness(joints: torch.Tensor, skeleton: Skeleton, random: torch.Generator) -> torch.Tensor:
    """(n,) log odds of poses: elbows hang below the line from shoulder to wrist, feet are at one height."""
    def of(side, stem):
        name = f"{side}_{stem}"
        return joints[:, skeleton.names.index(name)] if name in skeleton.names else None

    odds = joints.new_zeros(len(joints))
    for side, across in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow, wrist = (of(side, stem) for stem in ("shoulder", "elbow", "wrist"))
        if shoulder is None or elbow is None or wrist is None:
            continue
        line = functional.normalize(wrist - shoulder, dim=1)
        hangs = joints.new_tensor([HANGS[0] * across, *HANGS[1:]])
        off, hangs = (way - (way * line).sum(1, keepdim=True) * line for way in (elbow - shoulder, hangs))
        bent = (off.norm(dim=1) / 0.1).clamp(max=1)  # an arm that is nearly straight has no such side
        odds += ELBOWS * bent * functional.cosine_similarity(off, hangs)
    left, right = of("left", "ankle"), of("right", "ankle")
    if left is not None and right is not None:
        stand = torch.rand(len(joints) // CHOICES, generator=random).repeat_interleave(CHOICES) < STANDING
        odds -= stand * ((left - right)[:, 2].abs() / UNEVEN).clamp(max=6)
    return odds


def people_by_chance(skeleton: Skeleton, count: int, random: torch.Generator) -> torch.Tensor:
    """Joints (count, J, 3) of people by chance; neighbours have one shape."""
    shapes = random_shapes(min(SHAPES, count), random)
    rest = rest_from_shape(shapes)
    reach = _reach(skeleton, rest)
    body, found = _body(), []
    shares = torch.arange(count).tensor_split(len(shapes))
    for row, share in enumerate(shares):
        pose = random_poses(len(share), random)
        one = Rest(rest.vertices[row:row + 1], rest.steps[row:row + 1], rest.joint_from_rest[row:row + 1])
        world_from_joint = body.world_from_joint(one, pose)[..., :3, :]  # (n, A, 3, 4)
        columns = world_from_joint.transpose(1, 2).flatten(2)  # (n, 3, 4 A)
        found.append((columns @ reach[row].flatten(1).T).mT)
    return torch.cat(found)


@lru_cache(maxsize=1)
def _body() -> AnnyBody:
    return AnnyBody()


def _reach(skeleton: Skeleton, rest: Rest) -> torch.Tensor:
    """(S, J, A, 4) how the matrices of Anny's A joints mix to each joint of a skeleton.

    A keypoint is a mix of vertices, each a mix of where joints carry it: linear in the joints' matrices, and
    the rest is the same for every pose of a shape.
    """
    body = _body()
    counts = torch.diff(body.skin_start, append=torch.tensor([len(body.skin_joints)]))
    skinning = torch.zeros(len(counts), len(ANNY))  # (V, A)
    skinning[torch.arange(len(counts)).repeat_interleave(counts), body.skin_joints] = body.skin_weights
    rows = torch.zeros(len(skeleton), len(counts))  # (J, V)
    reach = torch.zeros(len(rest.vertices), len(skeleton), len(ANNY), 4)
    tables, joints = {name: regressor(name) for name in ("coco23", "body25")}, []
    for joint, name in enumerate(skeleton.names):
        home = _home(name, skeleton)
        if home == "joints":
            joints.append((joint, ANNY.names.index(_STANDS_FOR.get(name, name))))
        elif home == "crown":
            height = baked()["mean_vertices"][2]
            rows[joint] = (height > height.max() - CROWN).float()
            rows[joint] /= rows[joint].sum()
        elif home is not None:
            rows[joint] = tables[home][KEYPOINT_SETS[home].names.index(name)]
        else:
            raise ValueError(f"Anny has no joint {name!r}; give joints of people to learn from.")
    for row, vertices in enumerate(rest.vertices):
        mixed = torch.stack([(rows * vertices[:, axis]) @ skinning for axis in range(3)] + [rows @ skinning],
                            -1)  # (J, A, 4)
        reach[row] = (rest.joint_from_rest[row] @ mixed[..., None])[..., 0]
    for joint, of_anny in joints:
        reach[:, joint, of_anny, 3] = 1
    return reach


def random_shapes(count: int, random: torch.Generator) -> torch.Tensor:
    """(count, 11) phenotypes of grown-ups."""
    low = torch.tensor([0.0, 0.5, 0.3, 0.25, 0.2, 0.3, 0.2, 0.3, 0.0, 0.0, 0.0])
    high = torch.tensor([1.0, 0.95, 0.85, 0.8, 0.8, 0.8, 0.8, 0.7, 1.0, 1.0, 1.0])
    return low + (high - low) * torch.rand(count, 11, generator=random)


def random_poses(count: int, random: torch.Generator) -> Pose:
    """Poses of Anny about the world's origin, all looking along -Y but for a wild few."""
    draw = _Draw(count, random)
    angles = {}
    torso_lean, degrees_of_legs = _legs(draw)
    angles |= degrees_of_legs | _arms(draw) | _trunk(draw)
    bends, turn = _bends()
    degrees = torch.zeros(count, len(bends))
    for column, bend in enumerate(bends):
        degrees[:, column] = angles.get(bend.name, torch.full((count,), bend.rest)).clamp(bend.low, bend.high)
        degrees[:, column] -= bend.rest
    rotations = (degrees.deg2rad() @ turn).unflatten(1, (-1, 3))
    tilt = torch.stack([torso_lean, draw.near(0, 5), torch.zeros(count)], 1).deg2rad()
    wild = draw.chance(0.07)[:, None]
    anyhow = functional.normalize(torch.randn(count, 3, generator=random), dim=1)
    tilt = torch.where(wild, anyhow * draw.between(0, 120).deg2rad()[:, None], tilt)
    return Pose(rotations, tilt, torch.zeros(count, 3))


@lru_cache(maxsize=1)
def _bends():
    """Anny's controls, and what each turns by one radian: (C, 3 (A - 1))."""
    bends = controls(_body())
    turn = torch.zeros(len(bends), len(ANNY) - 1, 3)
    for row, bend in enumerate(bends):
        turn[row, list(bend.joints)] = bend.share * bend.axis
    return bends, turn.flatten(1)


class _Draw:
    """Numbers by chance, one for each of so many people."""

    def __init__(self, count: int, random: torch.Generator):
        self.count, self.random = count, random

    def between(self, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(self.count, generator=self.random)

    def near(self, middle: float, spread: float) -> torch.Tensor:
        return middle + spread * torch.randn(self.count, generator=self.random)

    def chance(self, share: float) -> torch.Tensor:
        return torch.rand(self.count, generator=self.random) < share

    def which(self, shares: tuple[float, ...]) -> torch.Tensor:
        return torch.multinomial(torch.tensor(shares), self.count, replacement=True, generator=self.random)


def _legs(draw: _Draw) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """How far the pelvis leans forward, and the legs' angles: standing, a step, squats and kicks."""
    kind = draw.which((0.4, 0.25, 0.2, 0.15))

    def by_kind(*choices):
        return torch.stack(choices, 1)[torch.arange(draw.count), kind]

    lean = by_kind(draw.near(5, 10), draw.near(6, 10), draw.between(-5, 50), draw.near(0, 20))
    squat, angles = draw.between(10, 110), {}
    for side in ("left", "right"):
        # thighs and shins are thought of in the world: the hip makes good for the pelvis
        thigh = by_kind(draw.near(4, 6), draw.near(12, 25), squat + draw.near(0, 10), draw.between(-30, 110))
        shin = by_kind(draw.near(4, 6), draw.between(-5, 45), draw.near(15, 15), draw.between(-10, 100))
        spread = by_kind(draw.near(6, 7), draw.near(6, 7), draw.between(-5, 40), draw.between(-20, 55))
        angles |= {f"{side} hip: forward": thigh + lean, f"{side} hip: sideways": spread,
                   f"{side} hip: turn out": draw.near(8, 15), f"{side} knee: bend": thigh + shin,
                   f"{side} ankle: point": draw.near(0, 14), f"{side} ankle: turn out": draw.near(0, 10)}
    return lean, angles


def _arms(draw: _Draw) -> dict[str, torch.Tensor]:
    """Arms that hang, reach anywhere, are bent before the body, or hold hands up before chest and face; alike
    on both sides of some."""
    angles, alike, first = {}, draw.chance(0.35), None
    for side in ("left", "right"):
        kind = draw.which((0.2, 0.3, 0.25, 0.25))
        arm = {
            "shoulder: raise": (draw.near(-65, 12), draw.between(-80, 100), draw.between(-80, 20),
                                draw.between(-80, -35)),
            "shoulder: forward": (draw.near(5, 18), draw.between(-40, 120), draw.between(0, 115),
                                  draw.between(-25, 100)),
            "shoulder: twist": (draw.near(0, 30), draw.between(-80, 80), draw.between(-80, 80),
                                draw.between(-10, 80)),
            "elbow: bend": (draw.near(15, 15).abs(), 145 * draw.between(0, 1) ** 1.3,
                            draw.between(50, 145), draw.between(90, 145)),
            "collar: shrug": (draw.near(0, 5), draw.near(5, 8), draw.near(3, 6), draw.near(3, 6)),
        }
        arm = {name: torch.stack(choices, 1)[torch.arange(draw.count), kind] for name, choices in arm.items()}
        if first is not None:
            arm = {name: torch.where(alike, first[name] + draw.near(0, 8), value)
                   for name, value in arm.items()}
        first = arm
        angles |= {f"{side} {name}": value for name, value in arm.items()}
        angles |= {f"{side} elbow: twist": draw.between(-60, 60), f"{side} wrist: bend": draw.near(0, 25),
                   f"{side} fingers: curl": draw.between(-5, 80), f"{side} thumb: curl": draw.near(0, 12)}
    return angles


def _trunk(draw: _Draw) -> dict[str, torch.Tensor]:
    """Spine and head; a quarter of the people bend and twist a lot."""
    far = torch.where(draw.chance(0.25), 2.0, 1.0)
    return {"waist: forward": 4 + far * draw.near(0, 13), "waist: to the left": far * draw.near(0, 9),
            "waist: turn left": far * draw.near(0, 16), "chest: forward": 4 + far * draw.near(0, 10),
            "chest: to the left": far * draw.near(0, 7), "chest: turn left": far * draw.near(0, 16),
            "neck: forward": draw.near(3, 12), "head: nod": draw.near(0, 12),
            "head: to the left": draw.near(0, 10), "head: turn left": draw.near(0, 30)}
