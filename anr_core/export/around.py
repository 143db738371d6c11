"""How a camera stands around a person: degrees and metres that a hand can move."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from anr_core.body import Body, Pose, Posed
from anr_core.camera import Camera, orbit

# A slider's reach, in degrees and metres.
LIMITS = {"azimuth": (-180.0, 180.0), "elevation": (-80.0, 80.0), "distance": (0.8, 8.0),
          "field_of_view": (10.0, 70.0)}
FIELD_OF_VIEW = 28.0  # degrees: a portrait lens, which neither bloats nor flattens
ELEVATION = 8.0
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
