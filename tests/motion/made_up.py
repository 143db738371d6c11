"""Motions that tests write themselves: a person who walks, and the same motion in other exporters' words."""

from __future__ import annotations

import math
from dataclasses import replace

import roma
import torch

from anr_core.body import Body, Pose, Posed, make_surface
from anr_core.motion.limbs import frame, unit
from anr_core.motion.record import Motion
from anr_core.motion.smpl import standing
from anr_core.skeleton import SMPL

# name, parent, metres from the parent to it: arms stretched out, Y up, looks along +Z
FIGURE = (("Hips", "", (0, 0.95, 0)), ("Spine", "Hips", (0, 0.1, 0)), ("Spine1", "Spine", (0, 0.2, 0)),
          ("Neck", "Spine1", (0, 0.2, 0)), ("Head", "Neck", (0, 0.1, 0)), ("Head end", "Head", (0, 0.18, 0)),
          *((f"{side}{name}", parent.replace("*", side), (sign * x, y, z))
            for side, sign in (("Left", 1), ("Right", -1)) for name, parent, (x, y, z) in (
                ("Shoulder", "Spine1", (0.05, 0.15, 0)), ("Arm", "*Shoulder", (0.12, 0, 0)),
                ("ForeArm", "*Arm", (0.28, 0, 0)), ("Hand", "*ForeArm", (0.25, 0, 0)),
                ("Hand end", "*Hand", (0.08, 0, 0)),
                ("UpLeg", "Hips", (0.09, -0.05, 0)), ("Leg", "*UpLeg", (0, -0.42, 0)),
                ("Foot", "*Leg", (0, -0.40, 0)), ("ToeBase", "*Foot", (0, -0.05, 0.13)),
                ("ToeBase end", "*ToeBase", (0, 0, 0.05)))))
NAMES = tuple(entry[0] for entry in FIGURE)
# the same joints in other words
MIXAMO = {name: f"mixamorig:{name}" for name in NAMES}
UNREAL = {"Hips": "pelvis", "Spine": "spine_01", "Spine1": "spine_02", "Neck": "neck_01", "Head": "head",
          **{f"{side}{name}": f"{other}_{side[0].lower()}" for side in ("Left", "Right") for name, other in (
              ("Shoulder", "clavicle"), ("Arm", "upperarm"), ("ForeArm", "lowerarm"), ("Hand", "hand"),
              ("UpLeg", "thigh"), ("Leg", "calf"), ("Foot", "foot"), ("ToeBase", "ball"))}}
BIPED = {"Hips": "Bip01 Pelvis", "Spine": "Bip01 Spine", "Spine1": "Bip01 Spine1", "Neck": "Bip01 Neck",
         "Head": "Bip01 Head",
         **{f"{side}{name}": f"Bip01 {side[0]} {other}" for side in ("Left", "Right") for name, other in (
             ("Shoulder", "Clavicle"), ("Arm", "UpperArm"), ("ForeArm", "Forearm"), ("Hand", "Hand"),
             ("UpLeg", "Thigh"), ("Leg", "Calf"), ("Foot", "Foot"), ("ToeBase", "Toe0"))}}
VICON = {"Hips": "root", "Spine": "lowerback", "Spine1": "upperback", "Neck": "lowerneck", "Head": "head",
         **{f"{side}{name}": f"{side[0].lower()}{other}" for side in ("Left", "Right") for name, other in (
             ("Shoulder", "clavicle"), ("Arm", "humerus"), ("ForeArm", "radius"), ("Hand", "wrist"),
             ("UpLeg", "femur"), ("Leg", "tibia"), ("Foot", "foot"), ("ToeBase", "toes"))}}
XSENS = {"Hips": "Hips", "Spine": "Chest", "Spine1": "Chest2", "Neck": "Neck", "Head": "Head",
         **{f"{side}{name}": f"{side}{other}" for side in ("Left", "Right") for name, other in (
             ("Shoulder", "Collar"), ("Arm", "Shoulder"), ("ForeArm", "Elbow"), ("Hand", "Wrist"),
             ("UpLeg", "Hip"), ("Leg", "Knee"), ("Foot", "Ankle"), ("ToeBase", "Toe"))}}
FAMILIES = {"mixamo": MIXAMO, "unreal": UNREAL, "biped": BIPED, "vicon": VICON, "xsens": XSENS}


def figure(rotations: dict[str, torch.Tensor], place: torch.Tensor, fps: float = 30.0) -> Motion:
    """The made-up person with some joints turned, axis-angle (T, 3) each, and the hips' place (T, 3)."""
    parents = tuple(NAMES.index(parent) if parent else -1 for _, parent, _ in FIGURE)
    rest = torch.tensor([offset for _, _, offset in FIGURE])
    turned = torch.zeros(len(place), len(NAMES), 3)
    for name, values in rotations.items():
        turned[:, NAMES.index(name)] = values
    steps = rest.expand(len(place), -1, -1).clone()
    steps[:, 0] = place
    return Motion(NAMES, parents, rest, turned, steps, fps, "made up")


def walk(seconds: float = 2.0, fps: float = 30.0) -> Motion:
    """Walks along +Z with feet that stand still: legs are bent by the law of cosines to where feet are.

    The left arm is bent and swings, the right one hangs.
    """
    time = torch.arange(round(seconds * fps) + 1) / fps
    speed, period = 1.0, 1.0  # metres a second, seconds for two steps
    hips = torch.stack([0 * time, 0.92 + 0 * time, speed * time], 1)
    rotations = {}
    for side, sign, phase in (("Left", 1, 0.0), ("Right", -1, 0.5)):
        cycle = time / period + phase
        step, within = cycle.floor(), cycle % 1
        swings = ((within - 0.6) / 0.4).clamp(0, 1)  # a foot stands for six tenths of a cycle
        glide = swings * swings * (3 - 2 * swings)
        z = (step - phase + 0.3 + glide) * speed * period
        y = 0.10 + 0.10 * torch.sin(math.pi * swings) ** 2
        hip = hips + torch.tensor([sign * 0.09, -0.05, 0.0])
        away = torch.stack([hip[:, 0], y, z], 1) - hip
        distance = away.norm(dim=1).clamp(max=0.8199)
        forward = torch.atan2(away[:, 2], -away[:, 1])
        bend = math.pi - torch.acos(((0.42**2 + 0.40**2 - distance**2) / (2 * 0.42 * 0.40)).clamp(-1, 1))
        raised = torch.asin((0.40 * torch.sin(math.pi - bend) / distance).clamp(-1, 1))
        rotations[f"{side}UpLeg"] = about_x(-(forward + raised))
        rotations[f"{side}Leg"] = about_x(bend)
        rotations[f"{side}Foot"] = about_x(forward + raised - bend)  # the sole stays level
        rotations[f"{side}Arm"] = torch.tensor([0.0, 0.0, -sign * 1.3]).expand(len(time), 3)
    swing = 0.4 * torch.sin(2 * math.pi * time / period)
    down = torch.tensor([0.0, 0.0, -1.3]).expand(len(time), 3)
    rotations["LeftArm"] = roma.rotvec_composition((about_x(swing), down))
    rotations["LeftForeArm"] = torch.tensor([0.0, -0.9, 0.0]).expand(len(time), 3)  # towards the front
    return figure(rotations, hips, fps)


def about_x(angles: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(angles[:, None], (0, 2))


def renamed(motion: Motion, names: dict[str, str]) -> Motion:
    return replace(motion, names=tuple(names.get(name, name) for name in motion.names))


def scaled(motion: Motion, unit: float) -> Motion:
    """In another unit: 100 for centimetres."""
    return replace(motion, rest=motion.rest * unit, steps=motion.steps * unit)


def turned_world(motion: Motion, turn: torch.Tensor) -> Motion:
    """Rest pose and motion in other axes: turn (3,) takes the old ones to them."""
    matrix = roma.rotvec_to_rotmat(turn)
    rotations = motion.rotations @ matrix.T  # an axis-angle turns as a vector does
    return replace(motion, rest=motion.rest @ matrix.T, steps=motion.steps @ matrix.T, rotations=rotations)


def turned_root(motion: Motion, turn: torch.Tensor) -> Motion:
    """The same rest pose, but the root carries what turns the motion: as Z-up exports of Y-up rigs do."""
    matrix, rotations, steps = roma.rotvec_to_rotmat(turn), motion.rotations.clone(), motion.steps.clone()
    rotations[:, 0] = roma.rotvec_composition((turn.expand(len(motion), 3), rotations[:, 0]))
    steps[:, 0] = steps[:, 0] @ matrix.T
    return replace(motion, rotations=rotations, steps=steps)


def with_own_frames(motion: Motion) -> Motion:
    """Every joint gets axes of its own, X along its bone: the rest pose becomes one long line of bones."""
    count = len(motion.names)
    frames = []
    for joint in range(count):
        child = next((c for c in range(count) if motion.parents[c] == joint), None)
        along = motion.rest[child if child is not None else joint]
        along = unit(along if float(along.norm()) else torch.tensor([0.0, 1.0, 0.0]))
        spare = torch.tensor([0.31, 0.17, 0.93])  # nobody's axis
        frames.append(frame(along, spare))
    frames = torch.stack(frames)  # (J, 3, 3) the old axes from the joint's own
    above = torch.stack([frames[parent] if parent >= 0 else torch.eye(3) for parent in motion.parents])
    turns = above.mT @ roma.rotvec_to_rotmat(motion.rotations) @ frames
    move = above.mT
    return replace(motion, rotations=roma.rotmat_to_rotvec(turns),
                   rest=(move @ motion.rest[..., None])[..., 0],
                   steps=(move @ motion.steps[..., None])[..., 0])


def posed_at_rest(motion: Motion, rest: dict[str, torch.Tensor]) -> Motion:
    """The same motion of a rig that rests otherwise: with joints turned (3,) about the world's axes."""
    world, places = [], []
    for joint, parent in enumerate(motion.parents):
        own = roma.rotvec_to_rotmat(rest.get(motion.names[joint], torch.zeros(3)))
        world.append(own if parent < 0 else world[parent] @ own)
        places.append(motion.rest[joint] if parent < 0 else world[parent] @ motion.rest[joint])
    world, offsets = torch.stack(world), torch.stack(places)
    turns = [roma.rotvec_to_rotmat(motion.rotations[:, joint]) for joint in range(len(motion.names))]
    made = []
    for joint, parent in enumerate(motion.parents):  # G' = G W^-1
        above = world[parent] if parent >= 0 else torch.eye(3)
        made.append(roma.rotmat_to_rotvec(above @ turns[joint] @ world[joint].T))
    steps = offsets.expand(len(motion), -1, -1).clone()
    steps[:, 0] = motion.steps[:, 0]
    return replace(motion, rest=offsets, steps=steps, rotations=torch.stack(made, 1))


def bvh_text(motion: Motion, order: str = "ZXY", seconds: float | None = None) -> str:
    """A BVH file of a motion; order is that of the rotations' channels."""
    lines, channels = ["HIERARCHY"], []
    children = [[child for child, parent in enumerate(motion.parents) if parent == joint]
                for joint in range(len(motion.names))]

    def write(joint, depth):
        tab, name = "  " * depth, motion.names[joint]
        end = name.endswith(" end")
        lines.append(tab + ("End Site" if end else f"{'JOINT' if depth else 'ROOT'} {name}"))
        lines.append(tab + "{")
        lines.append(tab + "  OFFSET " + " ".join(f"{value:.6f}" for value in motion.rest[joint].tolist()))
        if not end:
            places = "Xposition Yposition Zposition " if depth == 0 else ""
            lines.append(f"{tab}  CHANNELS {6 if depth == 0 else 3} {places}"
                         + " ".join(f"{axis}rotation" for axis in order))
            if depth == 0:
                channels.append(motion.steps[:, joint])
            matrices = roma.rotvec_to_rotmat(motion.rotations[:, joint].double())
            channels.append(torch.rad2deg(roma.rotmat_to_euler(order, matrices)).float())
        for child in children[joint]:
            write(child, depth + 1)
        lines.append(tab + "}")

    write(motion.parents.index(-1), 0)
    values = torch.cat(channels, 1)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {seconds or 1 / motion.fps:.6f}"]
    lines += [" ".join(f"{value:.5f}" for value in row) for row in values.tolist()]
    return "\n".join(lines) + "\n"


class PlainBody(Body):
    """A body of SMPL's joints and conventions whose vertices are its joints and its soles."""

    def __init__(self, size: float = 1.0):
        rest, kept = standing(SMPL)
        assert kept == list(range(len(SMPL)))
        self_faces = torch.tensor([[0, 1, 2]])
        vertices = torch.rand(len(SMPL) + 8, 3)
        super().__init__(make_surface(vertices, self_faces, torch.rand(3, 2), self_faces, skeleton=SMPL))
        self.register_buffer("steps", rest * size)

    def forward(self, pose: Pose) -> Posed:
        turns, places = [], []
        local = roma.rotvec_to_rotmat(torch.cat([pose.root_rotation[:, None], pose.rotations], 1))
        for joint, parent in enumerate(SMPL.parents):
            if parent < 0:
                turns.append(local[:, 0])
                places.append(self.steps[0] + pose.root_translation)
            else:
                turns.append(turns[parent] @ local[:, joint])
                places.append(places[parent] + turns[parent] @ self.steps[joint])
        corners = [torch.tensor([x, -0.08, z]) for x in (-0.03, 0.03) for z in (-0.05, 0.1)]
        size = self.steps[1].norm() / 0.113
        soles = [places[foot] + turns[foot] @ (size * corner) for foot in (7, 8) for corner in corners]
        joints = torch.stack(places, 1)
        return Posed(torch.cat([joints, torch.stack(soles, 1)], 1), joints, self.surface)


def without(motion: Motion, words: list[str]) -> Motion:
    """The same motion without the joints whose names hold one of some words."""
    kept = [index for index, name in enumerate(motion.names) if not any(word in name for word in words)]
    parents = []
    for joint in kept:
        above = motion.parents[joint]
        while above >= 0 and above not in kept:
            above = motion.parents[above]
        parents.append(kept.index(above) if above >= 0 else -1)
    return replace(motion, names=tuple(motion.names[joint] for joint in kept), parents=tuple(parents),
                   rest=motion.rest[kept], rotations=motion.rotations[:, kept], steps=motion.steps[:, kept])
