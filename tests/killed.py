"""Trainings that are killed, and go on: to the same bytes as if nothing had been."""

from pathlib import Path

import pytest

from anr_core.training import loop, train


class Killed(BaseException):
    """Leaves the disk as SIGKILL does: nothing that the loop catches."""


def killed_and_whole(capture, folder: Path, system: str, steps: int, config: dict, after: tuple[int, ...],
                     monkeypatch) -> tuple[bytes, bytes]:
    """Checkpoints of two trainings: one killed after some of its steps, saving after each, and one not."""
    average = loop.average
    list(train(capture, folder / "whole", system, steps=steps, config=config))
    for last in after:
        def kills(averaged, avatar, step, last=last):
            average(averaged, avatar, step)
            if step == last:
                raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(loop, "SAVES", 0)
            patch.setattr(loop, "average", kills)
            list(train(capture, folder / "run", system, steps=steps, config=config))
    list(train(capture, folder / "run", system, steps=steps, config=config))
    return tuple((folder / name / "checkpoint.safetensors").read_bytes() for name in ("run", "whole"))
