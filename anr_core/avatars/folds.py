"""Which colours a training picture is drawn with: those that it has not itself contributed to."""

from __future__ import annotations

import torch

from anr_core.avatars.base import Scene
from anr_core.processes import own


class Folds:
    """Which pictures are left out together of the colours that one of them is drawn with.

    A network that is shown a texture to which the very picture has contributed learns to trust it too much.
    So a training view is drawn with a texture made without its camera, or without its stretch of time
    (stacking; Wolpert 1992). The avatar itself has the texture of all.
    """

    CAMERAS, STRETCHES = 8, 4  # groups of each kind, at the most

    def __init__(self, pictures: list[tuple[str, int]]):
        cameras, frames = (sorted({picture[part] for picture in pictures}) for part in (0, 1))
        kinds = [{name: index * min(len(names), most) // len(names) for index, name in enumerate(names)}
                 for names, most in ((cameras, self.CAMERAS), (frames, self.STRETCHES))]
        if len(cameras) == len(pictures):
            kinds = kinds[:1]  # one camera a frame: leaving out one is leaving out the other
        self.kinds = [kind for kind in kinds if len(set(kind.values())) > 1]
        sizes = [max(kind.values()) + 1 for kind in self.kinds]
        self.offsets = [sum(sizes[:index]) for index in range(len(sizes))]
        self.count = sum(sizes)

    def of(self, picture: tuple[str, int]) -> list[int]:
        """The groups, one of each kind, that a picture belongs to."""
        return [offset + next(kind[value] for value in picture if value in kind)
                for kind, offset in zip(self.kinds, self.offsets, strict=True)]

    def choose(self, scene: Scene) -> torch.Tensor:
        """(B,) for each picture one of its groups, at random."""
        kinds = own(lambda rows: torch.randint(len(self.kinds), (rows,)), len(scene.frame)).tolist()
        pictures = zip(scene.camera_name, scene.frame.tolist(), kinds, strict=True)
        return torch.tensor([self.of((camera, frame))[kind] for camera, frame, kind in pictures])
