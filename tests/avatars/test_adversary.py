"""The adversary: what it is shown, what it learns, when there is one."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from anr_core.avatars import PRESETS, Rendering, configure, make_avatar
from anr_core.avatars.adversary import Adversary
from anr_core.training import train

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


@pytest.fixture
def view(small_capture):
    return small_capture.views(crop="body", size=64)[0]


def adversary(seed=0):
    return Adversary((1e-3, 1e-3), 0.5, seed, Fabric(accelerator="cpu", devices=1))


def blurred(view, mask=None):
    soft = torch.nn.functional.avg_pool2d(view.image, 5, 1, 2)
    return Rendering(soft, view.mask if mask is None else mask)


def total(losses):
    return float(sum(losses.values()).detach())


def test_it_learns_to_tell_drawn_pictures_from_taken_ones(view):
    judging = adversary()
    for _ in range(30):
        judging.losses(blurred(view), view)
        judging.step()
    with torch.no_grad():
        drawn, taken = (judging.network(pictures)[0][-1].mean() for pictures in judging.pictures)
    assert float(taken) > float(drawn) + 0.3


def test_its_losses_reach_who_draws_and_not_itself(view):
    judging, drawn = adversary(), blurred(view)
    drawn.rgb.requires_grad_()
    sum(judging.losses(drawn, view).values()).backward()
    assert drawn.rgb.grad.any() and all(weight.grad is None for weight in judging.network.parameters())
    judging.step()
    assert all(weight.grad is not None for weight in judging.network.parameters())


def test_features_of_what_equals_the_truth_cost_nothing(view):
    judging = adversary()
    judging.network.eval()  # in training its norms are estimated anew in each call
    assert float(judging.losses(Rendering(view.image, view.mask), view)["features"]) == 0
    assert float(judging.losses(blurred(view), view)["features"].detach()) > 0


def test_uncertain_pixels_are_not_judged(view):
    certain = view.certain.clone()
    certain[..., 20:40] = False
    hidden, found = replace(view, certain=certain), []
    other = replace(hidden, image=torch.where(certain, view.image, 1 - view.image),
                    mask=torch.where(certain, view.mask, 1 - view.mask))
    for shown in (hidden, other):
        found.append(total(adversary().losses(blurred(view), shown)))
    assert found[0] == found[1] != total(adversary().losses(blurred(view), view))


def test_only_larger_presets_have_one():
    assert [preset.adversary > 0 for preset in PRESETS.values()] == [False, True, True]


@pytest.mark.parametrize("weight, judged", [(0.0, []), (0.01, ["renderers"])])
def test_networks_are_judged_once_they_draw(weight, judged, small_capture, tmp_path):
    config = TINY | {"adversary": weight}
    avatar = make_avatar(configure(**config), small_capture.body.surface, [("a", 0), ("b", 1)])
    assert [stage.name for stage in avatar.stages(avatar.config) if stage.adversary] == judged
    progress = list(train(small_capture, tmp_path / "run", steps=4, config=config))
    assert {step.stage for step in progress if "adversary" in step.losses} == set(judged)
    assert not any("network" in name for name in avatar.state_dict())
