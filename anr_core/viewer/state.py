"""What a viewer shows, as one record: who stands how, seen from where; as text it comes back exactly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace

import torch

from anr_core.body import Pose
from anr_core.capture.readers.arrays import measurable, real
from anr_core.capture.sources import LONGEST_NUMBER
from anr_core.export.around import LIMITS, View
from anr_core.telling import brief, quoted, reason

WORDS = ("background", "layer", "worn", "source")  # fields of a state that are text


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
            raise ValueError(f"The text holds {quoted(min(unknown))}, which no state has; it has "
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
            value = torch.from_numpy(real(value, entry.name)).float()[None]
        except ValueError:
            raise ValueError(f"The pose's {entry.name} are no numbers.") from None
        if value.shape != there.shape:
            raise ValueError(f"The pose's {entry.name} have shape {brief(value.shape[1:])}, expected "
                             f"{brief(there.shape[1:])}: it is a pose of another body.")
        if not bool(value.isfinite().all()):
            raise ValueError(f"The pose's {entry.name} are not finite.")
        values[entry.name] = value.to(there)
    if unknown := set(record) - {entry.name for entry in fields(Pose)}:
        raise ValueError(f"The pose has {quoted(min(unknown))}, which no pose has.")
    return Pose(**values)


def _frame(value, device):
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 10**LONGEST_NUMBER:
        raise ValueError(f"The pose's frame is {quoted(value)}, expected a number, or null for none.")
    return torch.tensor([value], device=device)


def _record(text):
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"This is no state or pose as the panel writes it ({reason(error)}).") from None
    if not isinstance(record, dict):
        raise ValueError("This is no state or pose as the panel writes it: expected an object in braces.")
    return record


def _numbers(record, limits):
    if not isinstance(record, dict) or not set(record) <= set(limits):
        raise ValueError(f"A view has {', '.join(limits)}, each a number.")
    found = {}
    for name, value in record.items():
        if not isinstance(value, int | float) or not measurable(value):
            raise ValueError(f"The view's {name} is {quoted(value)}, expected a number.")
        found[name] = float(min(max(value, limits[name][0]), limits[name][1]))
    return found
