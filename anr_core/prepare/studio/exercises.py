"""What the studio's people do: a warm-up and a bout of punches, written as postures in time.

The controls of a posture are explained in movement.py.
"""

from __future__ import annotations

import numpy as np

_STANDING = {
    "heading": (0.0,), "sway": (0.0, 0.0), "height": (1.0,),
    "pelvis": (0.0, 0.0, 0.0), "spine": (0.0, 0.0, 0.0), "neck": (0.0, 0.0, 0.0),
    "left_hand": (0.24, 0.08, -0.92), "right_hand": (0.24, 0.08, -0.92),
    "left_elbow": (0.4, -1.0, 0.0), "right_elbow": (0.4, -1.0, 0.0),
    "left_foot": (0.0, 0.0), "right_foot": (0.0, 0.0),
    "left_step": (0.0, 0.0, 0.0), "right_step": (0.0, 0.0, 0.0), "fists": (0.0,),
}
OTHER = {"left": "right", "right": "left"}
_OUT = {"left": 1.0, "right": -1.0}


class Script:
    """Postures in time: exercises append keys, `tracks` gives them as arrays."""

    def __init__(self, rng: np.random.Generator, leg: float):
        self.rng, self.leg = rng, leg
        self.tempo = rng.uniform(0.7, 0.85)  # seconds for a second written below: a brisk warm-up
        self.vigour = rng.uniform(0.85, 1.08)  # amplitudes
        self.width = rng.uniform(0.13, 0.17)  # of the stance, half, leg lengths
        self.state = {name: np.array(value) for name, value in _STANDING.items()}
        self.times, self.postures = [], []
        for side in OTHER:
            self.state[f"{side}_foot"] = self.spot(side, 0)
            self.state[f"{side}_step"] = np.array([0, _OUT[side] * 0.15, 0])
        self.time = 0.0
        self.key(0)

    def key(self, seconds: float, **changes):
        """The posture after some more seconds: the last one with changes; `both_` names both sides."""
        changed = {}
        for name, value in changes.items():
            names = [f"{side}{name[4:]}" for side in OTHER] if name.startswith("both_") else [name]
            changed |= dict.fromkeys(names, np.atleast_1d(np.asarray(value, float)))
        hands = [name for name in changed if name.endswith("_hand")]
        opposite = [hand for hand in hands if _cosine(changed[hand], self.state[hand]) < -0.3]
        if opposite:  # not through the shoulder
            self.key(seconds / 2, **dict.fromkeys(opposite, (0.75, 0.45, 0)))
            seconds /= 2
        self.state |= changed
        self.time += seconds * self.tempo
        self.times.append(self.time)
        self.postures.append(dict(self.state))

    def spot(self, side: str, forward: float, wider: float = 0.0) -> np.ndarray:
        """Where on the floor a foot of the stance belongs, leg lengths ahead and further out."""
        angle = self.state["heading"][0]
        x, y = np.array([_OUT[side] * (self.width + wider), -forward]) * self.leg
        return np.array([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)])

    def step(self, side: str, forward: float, seconds: float, wider: float = 0.0, toes: float = 0.15,
             pitch: float = 0.0, **changes):
        """Put a foot elsewhere: the weight goes to the other one, the foot is lifted, then it lands."""
        old, new = self.state[f"{side}_foot"], self.spot(side, forward, wider)
        yaw = self.state["heading"][0] + _OUT[side] * toes
        before = self.state[f"{side}_step"]
        self.key(0.3 * seconds, sway=(-0.07 * _OUT[side], self.state["sway"][1]))
        self.key(0.35 * seconds, **{f"{side}_foot": (old + new) / 2,
                                    f"{side}_step": (0.07, (before[1] + yaw) / 2, 0.25)})
        self.key(0.35 * seconds, **{f"{side}_foot": new, f"{side}_step": (0, yaw, pitch)},
                 **({"sway": (0, 0)} | changes))

    def stand(self, seconds: float = 0.6):
        """Back to the relaxed stance, feet where they are."""
        keep = {name for name in self.state if name.endswith(("_foot", "_step"))} | {"heading"}
        self.key(seconds, **{name: value for name, value in _STANDING.items() if name not in keep})

    def cut(self, time: float):
        """Forget what comes after time, to go on from there."""
        count = max(1, sum(t <= time for t in self.times))
        self.times, self.postures = self.times[:count], self.postures[:count]
        self.time, self.state = self.times[-1], dict(self.postures[-1])

    def tracks(self) -> dict[str, np.ndarray]:
        """Control -> (K, C) its value in each key."""
        return {name: np.stack([posture[name] for posture in self.postures]) for name in self.state}


def _cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def write_script(rng: np.random.Generator, leg: float, warm_up: float, punching: float) -> Script:
    """Seconds of warm-up, its exercises in an order of this person's, then seconds of punching."""
    script = Script(rng, leg)
    while script.time < warm_up:
        for exercise in rng.permutation(len(WARM_UP)):
            WARM_UP[exercise](script)
    script.cut(max(warm_up - 1.4, 0))  # taking guard ends the warm-up
    script.tempo = rng.uniform(0.9, 1.1)
    take_guard(script)
    for punch in rng.permutation(3):
        PUNCHES[punch](script)
    while script.time < warm_up + punching + 1:  # beyond what is drawn: the last frame is in full motion
        PUNCHES[rng.choice(len(PUNCHES), p=[0.3, 0.3, 0.25, 0.15])](script)
    return script


# the warm-up

def raise_arms(s: Script):
    """Arms go up at the sides, over the head, and down."""
    v = s.vigour
    s.key(0.45, both_hand=(0.75, 0.1, -0.62), both_elbow=(0, -1, -0.3), spine=(-0.03, 0, 0))
    s.key(0.35, both_hand=(0.96, 0.05, 0.05), both_elbow=(0, -0.8, -0.6))
    s.key(0.35, both_hand=(0.7, 0.05, 0.67), both_elbow=(0.5, -0.5, -0.5))
    s.key(0.4, both_hand=(0.28, 0.05, 0.92), both_elbow=(1, 0.1, 0), spine=(-0.12 * v, 0, 0),
          neck=(-0.25, 0, 0))
    s.key(0.4, both_hand=(0.75, 0.2, 0.55), both_elbow=(0.5, -0.5, -0.5), spine=(0, 0, 0), neck=(0, 0, 0))
    s.key(0.35, both_hand=(0.95, 0.1, -0.1), both_elbow=(0, -1, -0.3))
    s.key(0.4, both_hand=(0.65, 0.1, -0.7), both_elbow=(0.4, -1, 0))
    s.stand(0.4)


def circle_arms(s: Script):
    """Both arms draw a circle, from behind to the front."""
    for i in range(9):
        angle = 0.25 * np.pi * i
        forward, up = np.sin(angle) * 0.85, -np.cos(angle) * 0.9
        out = 0.3 + 0.45 * max(0, -np.sin(angle)) + 0.1 * max(0, np.cos(angle))
        s.key(0.22, both_hand=(out, forward, up), both_elbow=(1, -0.4, -0.25),
              spine=(-0.08 * np.sin(angle / 2), 0, 0),
              height=1.0 - 0.02 * np.sin(angle / 2))
    s.stand(0.35)


def twist(s: Script):
    """The trunk turns to one side, the other, and back again."""
    first = s.rng.choice([-1.0, 1.0])
    s.key(0.5, both_hand=(-0.12, 0.5, -0.08), both_elbow=(1, 0.1, 0.05))
    for turn in (first, -first, first):
        angle = 0.62 * s.vigour * turn
        s.key(0.6, spine=(0.03, 0, angle), pelvis=(0, 0, 0.25 * angle), neck=(0, 0, 0.5 * angle),
              sway=(0.03 * turn, 0))
    s.stand(0.6)


def bend_sideways(s: Script):
    """One arm over the head, the trunk bends away from it; then the other."""
    for side in s.rng.permutation(["left", "right"]):
        sign = -_OUT[side]  # the arm of this side goes over the head, the trunk to the other
        s.key(0.45, **{f"{side}_hand": (0.95, 0.1, 0.1), f"{side}_elbow": (0.2, -1, -0.3),
                       f"{OTHER[side]}_hand": (0.22, 0.12, -0.6), f"{OTHER[side]}_elbow": (1, -0.6, 0)})
        s.key(0.5, **{f"{side}_hand": (0.12, 0.12, 0.9), f"{side}_elbow": (1, 0, 0.3)},
              spine=(0, 0.5 * s.vigour * sign, 0), pelvis=(0, 0.08 * sign, 0), neck=(0, 0.15 * sign, 0),
              sway=(-0.06 * sign, 0))
        s.key(0.25)
        s.key(0.5, **{f"{side}_hand": (0.92, 0.1, 0.0), f"{side}_elbow": (0.2, -1, -0.3)},
              spine=(0, 0, 0), pelvis=(0, 0, 0), neck=(0, 0, 0), sway=(0, 0))
    s.stand(0.5)


def squat(s: Script):
    """Down and up, arms ahead."""
    depth = 0.3 * s.vigour
    s.key(0.8, height=1.0 - depth, pelvis=(0.5, 0, 0), spine=(0.15, 0, 0), neck=(-0.3, 0, 0), sway=(0, -0.1),
          both_hand=(0.02, 0.9, 0.05), both_elbow=(0.5, 0, -1))
    s.key(0.2)
    s.stand(0.8)


def lunge(s: Script):
    """A long step ahead, the other knee almost on the floor, and back."""
    side = s.rng.choice(["left", "right"])
    other = OTHER[side]
    s.key(0.3, both_hand=(0.22, 0.12, -0.6), both_elbow=(1, -0.6, 0))
    yaw = s.state[f"{other}_step"][1]
    s.step(side, 0.55, 0.8, toes=0.05, height=0.84)
    s.key(0.45, height=0.72, sway=(0, 0.03), pelvis=(0.1, 0, 0), spine=(0, 0, -0.3 * _OUT[side]),
          **{f"{other}_step": (0, yaw * 0.5, 0.75)})
    s.key(0.35, height=0.84, sway=(0, 0), pelvis=(0, 0, 0), spine=(0, 0, 0),
          **{f"{other}_step": (0, yaw, 0.1)})
    s.step(side, 0, 0.8, height=1.0)
    s.stand(0.3)


def lift_knees(s: Script):
    """One knee up, then the other."""
    for side in s.rng.permutation(["left", "right"]):
        out, other = _OUT[side], OTHER[side]
        old = s.state[f"{side}_foot"]
        yaw = s.state[f"{side}_step"][1]
        s.key(0.25, sway=(-0.12 * out, 0))
        s.key(0.4, sway=(-0.13 * out, 0), spine=(0.08, 0, 0.15 * out), pelvis=(-0.1, 0, 0),
              **{f"{side}_step": (0.42 * s.leg * s.vigour, yaw * 0.3, 0.35),
                 f"{side}_foot": 0.55 * old + 0.45 * s.spot(side, 0.38, -0.05),
                 f"{other}_hand": (0.1, 0.62, -0.1), f"{other}_elbow": (0.35, -0.5, -1),
                 f"{side}_hand": (0.3, -0.3, -0.6), f"{side}_elbow": (0.3, -1, 0)})
        s.key(0.1)
        s.key(0.4, spine=(0, 0, 0), pelvis=(0, 0, 0), both_hand=(0.24, 0.08, -0.9), both_elbow=(0.4, -1, 0),
              **{f"{side}_step": (0, yaw, 0), f"{side}_foot": old})
    s.stand(0.3)


def turn_about(s: Script):
    """Two steps on the spot that turn the person, and later exercises with it."""
    heading = s.state["heading"][0]
    turn = s.rng.uniform(0.5, 0.9) * (-np.sign(heading) if abs(heading) > 0.4 else s.rng.choice([-1.0, 1.0]))
    first = "left" if turn > 0 else "right"
    for side, part in ((first, 0.6), (OTHER[first], 1.0)):
        s.state["heading"] = np.array([heading + turn * part])
        under_way = part < 1
        s.step(side, 0, 0.6, both_hand=(0.26, 0.2 * under_way, -0.88),
               neck=(0, 0, 0.3 * np.sign(turn) * under_way))


WARM_UP = (raise_arms, circle_arms, twist, bend_sideways, squat, lunge, lift_knees, turn_about)


# the bout: left foot and left hand lead

_LEFT, _RIGHT = (-0.18, 0.5, 0.1), (-0.2, 0.42, 0.08)  # hands of the guard
_REAR = 0.75  # radians that the rear foot points outward
_DOWN = (0.45, -0.1, -1)  # elbows of the guard


def take_guard(s: Script):
    """A boxer's stance, left foot ahead, fists before the face."""
    s.stand(0.45)
    s.step("left", 0.22, 0.5, toes=-0.05, height=0.94, both_hand=(0.1, 0.45, -0.45),
           both_elbow=(0.4, -0.5, -1))
    s.step("right", -0.22, 0.5, toes=_REAR, pitch=0.25, height=0.92, both_elbow=_DOWN, left_hand=_LEFT,
           right_hand=_RIGHT, fists=1, pelvis=(0.08, 0, -0.5), spine=(0.15, 0, -0.25), neck=(0.1, 0, 0.65))


def _rear_yaw(s: Script) -> float:
    return s.state["heading"][0] - _REAR


def bounce(s: Script):
    """The weight from one foot onto the other."""
    for side in (1, -1):
        s.key(0.17, height=0.9, sway=(0.02 * side, 0.03 * side))
        s.key(0.17, height=0.925)


def jab(s: Script):
    """A straight punch of the left hand."""
    s.key(0.12, height=0.91, sway=(0, 0.03))
    s.key(0.16, left_hand=(-0.12, 0.96, 0.1), left_elbow=(0.6, 0, -1), spine=(0.18, 0, -0.5), sway=(0, 0.07),
          pelvis=(0.1, 0, -0.6), neck=(0.1, 0, 0.95))
    s.key(0.04)
    _recover(s, 0.22)


def cross(s: Script):
    """A straight punch of the right hand, the trunk turned into it."""
    s.key(0.12, pelvis=(0.08, 0, -0.6), sway=(0, -0.02))
    s.key(0.2, right_hand=(-0.16, 0.95, 0.1), right_elbow=(0.7, 0, -0.8), pelvis=(0.12, 0, 0.35),
          spine=(0.2, 0, 0.45), neck=(0.05, 0, -0.65), sway=(0, 0.08), height=0.9,
          right_step=(0, _rear_yaw(s) + 0.5, 0.65))
    s.key(0.05)
    _recover(s, 0.28)


def hook(s: Script):
    """A punch of the left hand from the side."""
    s.key(0.16, pelvis=(0.08, 0, 0.0), spine=(0.18, 0.08, 0.2), neck=(0.08, 0, -0.15), sway=(0.03, 0.05),
          left_hand=(0.45, 0.4, -0.05), left_elbow=(1, -0.4, -0.3))
    s.key(0.2, pelvis=(0.08, 0, -0.75), spine=(0.15, -0.05, -0.55), neck=(0.08, 0, 1.1), sway=(-0.04, 0),
          left_hand=(-0.18, 0.62, 0.12), left_elbow=(1, 0, 0.1), height=0.915)
    s.key(0.05)
    _recover(s, 0.28)


def _recover(s: Script, seconds: float):
    s.key(seconds, left_hand=_LEFT, right_hand=_RIGHT, both_elbow=_DOWN, pelvis=(0.08, 0, -0.5),
          spine=(0.15, 0, -0.25), neck=(0.1, 0, 0.65), sway=(0, 0), height=0.92,
          right_step=(0, _rear_yaw(s), 0.25))


PUNCHES = (jab, cross, hook, bounce)
