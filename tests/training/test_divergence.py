"""Losses and gradients that are not finite stop a training, which says where and keeps what was saved."""

import pytest
import torch

from anr_core.avatars.adversary import Adversary
from anr_core.avatars.deferred import Deferred
from anr_core.training import loop, train
from anr_core.training.divergence import of_divergence

TINY = {"size": 64, "window": 48, "batch": 1, "texture_size": 64, "width": 4}


def spoiled(monkeypatch, spoil):
    """Let a deferred avatar's losses be what `spoil(avatar, losses)` makes of them in frame 4 of cam02."""
    losses = Deferred.losses

    def some_spoiled(avatar, scene, rendering, view, stage):
        found = losses(avatar, scene, rendering, view, stage)
        return spoil(avatar, found) if (view.camera_name, view.frame.tolist()) == (["cam02"], [4]) else found

    monkeypatch.setattr(Deferred, "losses", some_spoiled)


@pytest.mark.parametrize("spoil, said", [
    (lambda avatar, losses: losses | {"l1": torch.full((), torch.nan, requires_grad=True)}, "l1 nan,"),
    # a root at zero: its value is finite, its slope isn't
    (lambda avatar, losses: losses | {"root": (0 * next(avatar.parameters())).sum().sqrt()},
     "root 0; but gradients are not finite"),
], ids=["a loss", "gradients alone"])
def test_it_stops_at_once_says_at_whose_picture_and_keeps_the_last_checkpoint(spoil, said, small_capture,
                                                                              tmp_path, monkeypatch):
    run, steps = tmp_path / "run", []
    monkeypatch.setattr(loop, "SAVES", 0)
    spoiled(monkeypatch, spoil)
    with pytest.raises(ValueError) as told:
        for progress in train(small_capture, run, "deferred", steps=40, config=TINY):
            steps.append(progress.step)
    assert f"diverged at step {len(steps) + 1}, at person, cam02, frame 4 (losses: " in str(told.value)
    assert said in str(told.value)
    assert "checkpoint is kept" in str(told.value) and "\n" not in str(told.value)
    saved = torch.load(run / "training.pt")
    assert saved["step"] == len(steps)
    assert all(tensor.isfinite().all() for tensor in saved["avatars"].values())


def test_a_discriminator_that_diverges_stops_it_in_the_same_step(small_capture, tmp_path, monkeypatch):
    run, costs, asked = tmp_path / "run", Adversary.discriminator, []

    def spoiled_later(taken, drawn):
        asked.append(1)
        return costs(taken, drawn) * (torch.nan if len(asked) == 2 else 1)

    monkeypatch.setattr(loop, "SAVES", 0)
    monkeypatch.setattr(Adversary, "discriminator", staticmethod(spoiled_later))
    steps = []
    with pytest.raises(ValueError, match="; but gradients are not finite") as told:
        for progress in train(small_capture, run, "anr", steps=6,
                              config=TINY | {"adversary": 0.1, "refine_from": 0}):
            steps.append(progress.step)
    assert f"diverged at step {steps[-1] + 1}, " in str(told.value)
    saved = torch.load(run / "training.pt")
    assert saved["step"] == steps[-1]
    assert all(tensor.isfinite().all() for tensor in saved["adversary"]["network"].values())


def test_a_practice_has_no_pictures_to_name():
    assert "at a made-up example" in str(of_divergence(3, 17, {"l1": float("nan")}))
