"""What a viewer shows, as one record: who stands how, seen from where; as text it comes back exactly."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace

import torch
from torch.nn import functional

from anr_core.body import Body, Pose, Posed
from anr_core.camera import Camera, orbit

# A slider's reach, in degrees and metres.
LIMITS = {"azimuth": (-180.0, 180.0), "elevation": (-80.0, 80.0), "distance": (0.8, 8.0),
          "field_of_view": (10.0, 70.0)}
FIELD_OF_VIEW = 28.0  # degrees: a portrait lens, which neither bloats nor flattens
ELEVATION = 8.0
WORDS = ("background", "layer", "worn", "source")  # fields of a state that are text
MARGIN = 1.15  # of the distance from which the whole person is just seen


def within_limits(name: str, value: float) -> float:
    """A view's number as far as it reaches; an azimuth goes round."""
    low, high = LIMITS[name]
    return (value - low) % (high - low) + low if name == "azimuth" else min(max(value, low), high)


@dataclass(frozen=True)
class View:
    """Where the camera stands around the person, degrees and metres; at azimuth 0 it sees the front."""

    azimuth: float = 0.0
    elevation: float = ELEVATION
    distance: float = 3.5
    field_of_view: float = FIELD_OF_VIEW


@dataclass(frozen=True)
class State:
    """Everything that a picture follows from, but for the avatar.

    pose        a batch of one
    background  "#rrggbb", "none" for a transparent one, or the name of a picture
    layer       what is shown: "result", or a step on the way by its name
    worn        parts of another's texture, as `wearing` reads it; nothing where the person wears their own
    source      whose looks an avatar takes that looks at a picture: CAMERA:FRAME, or another's; nothing for
                the picture that it keeps
    """

    view: View
    pose: Pose
    background: str = "#808080"
    layer: str = "result"
    worn: str = ""
    source: str = ""

    def text(self) -> str:
        """JSON that `State.of_text` reads back to the same numbers."""
        words = {name: getattr(self, name) for name in WORDS}
        return json.dumps({"view": asdict(self.view), "pose": pose_record(self.pose)} | words)

    @staticmethod
    def of_text(text: str, like: State) -> State:
        """A state, or the parts of one that the text holds, the rest as in `like`.

        Raises ValueError for text of another kind, and a pose of another body.
        """
        record = _record(text)
        if unknown := set(record) - {entry.name for entry in fields(State)}:
            raise ValueError(f"The text holds {min(unknown)!r}, which no state has; it has "
                             f"{', '.join(entry.name for entry in fields(State))}.")
        changes = {}
        if "view" in record:
            changes["view"] = replace(like.view, **_numbers(record["view"], LIMITS))
        if "pose" in record:
            changes["pose"] = pose_of_record(record["pose"], like.pose)
        changes |= {name: str(record[name]) for name in WORDS if name in record}
        return replace(like, **changes)


def pose_text(pose: Pose) -> str:
    """A pose as JSON, which the panel reads back."""
    return json.dumps(pose_record(pose))


def pose_of_text(text: str, like: Pose) -> Pose:
    """A pose out of its own text or a whole state's; raises ValueError for another body's."""
    record = _record(text)
    return pose_of_record(record.get("pose", record), like)


def pose_record(pose: Pose) -> dict:
    """Plain numbers; floats of 32 bits come back as they were. A pose of no frame says so: null."""
    return {entry.name: None if (value := getattr(pose, entry.name)) is None else value[0].tolist()
            for entry in fields(Pose)}


def pose_of_record(record: object, like: Pose) -> Pose:
    """The pose that a record tells; what it leaves out is as in another, `like`, of the same body.

    Raises ValueError for what no pose of this body is.
    """
    if not isinstance(record, dict) or not record:
        raise ValueError("This is no pose: expected an object with rotations, root_rotation and "
                         "root_translation, as the panel's own text has.")
    values = {}
    for entry in fields(Pose):
        there = getattr(like, entry.name)
        if entry.name not in record:
            values[entry.name] = there
            continue
        value = record[entry.name]
        if entry.name == "frame":  # which some poses have and others don't, on the same body
            values["frame"] = None if value is None else _frame(value, like.root_translation.device)
            continue
        try:
            value = torch.tensor(value, dtype=torch.float32)[None]
        except (TypeError, ValueError):
            raise ValueError(f"The pose's {entry.name} are no numbers.") from None
        if value.shape != there.shape:
            raise ValueError(f"The pose's {entry.name} have shape {tuple(value.shape[1:])}, expected "
                             f"{tuple(there.shape[1:])}: it is a pose of another body.")
        if not bool(value.isfinite().all()):
            raise ValueError(f"The pose's {entry.name} are not finite.")
        values[entry.name] = value.to(there)
    if unknown := set(record) - {entry.name for entry in fields(Pose)}:
        raise ValueError(f"The pose has {min(unknown)!r}, which no pose has.")
    return Pose(**values)


def _frame(value, device):
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"The pose's frame is {value!r}, expected a number, or null for none.")
    return torch.tensor([value], device=device)


def _record(text):
    try:
        record = json.loads(text)
    except ValueError as error:
        raise ValueError(f"This is no state or pose as the panel writes it ({error}).") from None
    if not isinstance(record, dict):
        raise ValueError("This is no state or pose as the panel writes it: expected an object in braces.")
    return record


def _numbers(record, limits):
    if not isinstance(record, dict) or not set(record) <= set(limits):
        raise ValueError(f"A view has {', '.join(limits)}, each a number.")
    found = {}
    for name, value in record.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"The view's {name} is {value!r}, expected a number.")
        found[name] = float(min(max(value, limits[name][0]), limits[name][1]))
    return found


class Around:
    """How cameras stand around a person: the way up, which way is the front, and what they look at.

    up     (3,) the world's unit vector against gravity
    start  the pose whose front is at azimuth 0
    """

    def __init__(self, body: Body, up: torch.Tensor, start: Pose):
        self.body, self.up = body, up
        posed = body(start)
        low, high = posed.vertices[0].aminmax(dim=0)
        middle = (low + high) / 2
        self.offset = middle - self._root(posed)
        self.reach = float((posed.vertices[0] - middle).abs().max())
        self.front = self.front_of(posed)

    def camera(self, view: View, posed: Posed, size: int) -> Camera:
        """Of a square picture; it looks at the middle of the person where they stand."""
        azimuth, elevation, fov = (math.radians(value) for value in
                                   (view.azimuth, view.elevation, view.field_of_view))
        middle = self._root(posed) + self.offset
        return orbit(middle, self.front + azimuth, elevation, view.distance, fov, (size, size), self.up)

    def whole(self, field_of_view: float = FIELD_OF_VIEW) -> View:
        """From the front, as near as shows the whole person."""
        distance = MARGIN * self.reach / math.tan(math.radians(field_of_view) / 2)
        return View(distance=round(within_limits("distance", distance), 2), field_of_view=field_of_view)

    def _root(self, posed):
        """(3,) a place that moves with the person as a whole, not with an arm."""
        return posed.vertices[0].mean(0) if posed.joints is None else posed.joints[0, 0]

    def front_of(self, posed: Posed) -> float:
        """Radians of azimuth from which the first person is seen from the front.

        0 for a mesh whose joints nobody knows.
        """
        if posed.joints is None or self.body.skeleton is None:
            return 0.0
        names, joints = self.body.skeleton.names, posed.joints[0]
        left = joints[names.index("left_hip")] - joints[names.index("right_hip")]
        forward = torch.linalg.cross(left, self.up)
        east = torch.tensor([1.0, 0.0, 0.0])  # as `orbit` counts
        east = functional.normalize(east - (east @ self.up) * self.up, dim=0)
        return math.atan2(float(forward @ east), float(forward @ torch.linalg.cross(east, self.up)))
