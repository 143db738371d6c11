"""What every motion file becomes: a tree of joints that turn and move over time, in the file's own axes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from anr_core.body import Body
from anr_core.telling import reason

LARGEST = 100_000_000  # numbers in a motion: 400 MB
LEAST_RATE, HIGHEST_RATE = 0.01, 100_000  # frames a second


@dataclass(frozen=True)
class Motion:
    """A skeleton in motion. Units, axes and the joints' own frames are whatever the file has.

    names      of the J joints; the ends of chains that hold no rotation have names too
    parents    index of each joint's parent, which comes before it; -1 for the root
    rest       (J, 3)     from each joint's parent to it while nothing is turned
    rotations  (T, J, 3)  axis-angle of each joint against its parent
    steps      (T, J, 3)  from each joint's parent to it, in the parent's frame; for the root its place
    fps        frames a second
    format     what it was read from
    joints     index of each joint by our name, where the file's kind is known; None looks at the names
    body       of ours, whose own rotations these are; None where they are another skeleton's
    path       of the file that it was read from
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: torch.Tensor
    rotations: torch.Tensor
    steps: torch.Tensor
    fps: float
    format: str
    joints: dict[str, int] | None = None
    body: Body | None = None
    path: Path | None = None

    @contextmanager
    def named(self) -> Iterator[None]:
        """Tell the file with what is wrong with the motion."""
        try:
            yield
        except ValueError as error:
            if self.path is None:
                raise
            raise ValueError(f"{self.path}: {reason(error)}") from None

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (len(self) - 1) / self.fps

    def __str__(self) -> str:
        return (f"{self.format}: {len(self)} frames at {self.fps:g} fps, {self.seconds:.1f} s, "
                f"{len(self.names)} joints")

    def __getitem__(self, rows: slice) -> Motion:
        return replace(self, rotations=self.rotations[rows], steps=self.steps[rows])

    def placed(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How joints are turned (T, J, 3, 3) and where they are (T, J, 3), in the file's world; float64."""
        import roma  # a second to import

        local = roma.rotvec_to_rotmat(self.rotations.double())
        turns, places = [], []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                turns.append(local[:, joint])
                places.append(self.steps[:, joint].double())
            else:
                turns.append(turns[parent] @ local[:, joint])
                step = (turns[parent] @ self.steps[:, joint, :, None].double())[..., 0]
                places.append(places[parent] + step)
        return torch.stack(turns, 1), torch.stack(places, 1)

    def resting(self) -> torch.Tensor:
        """(J, 3) where joints are while nothing is turned; float64."""
        places = []
        for joint, parent in enumerate(self.parents):
            step = self.rest[joint].double()
            places.append(step if parent < 0 else places[parent] + step)
        return torch.stack(places)


def rate(seconds: float) -> float:
    """Frames a second of so many seconds a frame; 0.0333333 and 0.008342 s mean 30 and 120."""
    fps = 1 / seconds
    return float(round(fps)) if abs(fps - round(fps)) < 0.002 * fps else fps


def checked(motion: Motion, source: Path) -> Motion:
    """The motion of a file, after a look whether it can be played at all."""
    if not len(motion):
        raise ValueError(f"{source} holds no frames. Export the motion again.")
    if not LEAST_RATE <= motion.fps < HIGHEST_RATE:
        raise ValueError(f"{source} has {motion.fps:g} frames a second; expected 1 to 1000. Correct its "
                         "frame time.")
    for name in ("rest", "rotations", "steps"):
        values = getattr(motion, name)
        broken = (~(values.abs() < 1e9)).flatten(1).any(1)
        if bool(broken.any()):
            where = "offsets" if name == "rest" else f"{name} in frame {int(broken.nonzero()[0])}"
            raise ValueError(f"{source} has {where} that are NaN, infinite or too large. Export it again.")
    return replace(motion, path=source)


def sized(numbers: int, source) -> None:
    """Raise ValueError where a motion holds too many numbers."""
    if numbers > LARGEST:
        raise ValueError(f"{source} holds more than {LARGEST:,} numbers. Cut it into parts.")
