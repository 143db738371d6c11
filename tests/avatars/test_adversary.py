"""The adversary: what it is shown, what it learns, when there is one."""

import copy
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from anr_core.avatars import PRESETS, Rendering, configure, make_avatar
from anr_core.avatars.adversary import (
    BATCH,
    CLIMB,
    GAMMA,
    LAZY,
    AdaptiveAdversary,
    Adversary,
    PosedAdversary,
)
from anr_core.avatars.anr import ANR
from anr_core.training import train

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


@pytest.fixture
def view(small_capture):
    return small_capture.views(crop="body", size=64)[0]


KINDS = [Adversary, AdaptiveAdversary, PosedAdversary]


class Narrow(AdaptiveAdversary):
    """As narrow as is quick to test."""

    width = 8


def adversary(seed=0, kind=Adversary, state=None):
    return kind((1e-3, 1e-3), 0.5, seed, Fabric(accelerator="cpu", devices=1), state)


def blurred(view, mask=None):
    soft = torch.nn.functional.avg_pool2d(view.image, 5, 1, 2)
    return Rendering(soft, view.mask if mask is None else mask, layers={"pose": 1 - view.image})


def total(losses):
    return float(sum(losses.values()).detach())


@pytest.mark.parametrize("kind, steps", [(Adversary, 30), (Narrow, 100), (PosedAdversary, 150)])
def test_it_learns_to_tell_drawn_pictures_from_taken_ones(kind, steps, view):
    torch.manual_seed(0)  # what an adaptive one shows itself is changed by chance
    judging = adversary(kind=kind)
    for _ in range(steps):
        judging.losses(blurred(view), view)
        judging.step()
    with torch.no_grad():
        drawn, taken = (judging.network(pictures)[0][-1].mean() for pictures in judging.pictures)
    assert float(taken) > float(drawn) + 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_its_losses_reach_who_draws_and_not_itself(kind, view):
    judging, drawn = adversary(kind=kind), blurred(view)
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


def test_a_sharp_picture_of_another_pose_is_told_by_the_pose(view):
    """Drawn and taken are the same pictures, in other places: only beside the pose can they be told."""
    judging = adversary(kind=PosedAdversary)
    mirrored = replace(view, image=view.image.flip(-1), mask=view.mask.flip(-1))
    for step in range(100):
        taken, drawn = (view, mirrored) if step % 2 else (mirrored, view)
        pose = {"pose": taken.mask.expand(-1, 3, -1, -1)}
        both = replace(taken, certain=torch.ones_like(taken.certain))
        judging.losses(Rendering(drawn.image, drawn.mask, layers=pose), both)
        judging.step()
    with torch.no_grad():
        drawn, taken = (judging.network(pictures)[0][-1].mean() for pictures in judging.pictures)
    assert float(taken) > float(drawn) + 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_uncertain_pixels_are_not_judged(kind, view):
    certain = view.certain.clone()
    certain[..., 20:40] = False
    hidden, found = replace(view, certain=certain), []
    other = replace(hidden, image=torch.where(certain, view.image, 1 - view.image),
                    mask=torch.where(certain, view.mask, 1 - view.mask))
    for shown in (hidden, other):
        found.append(total(adversary(kind=kind).losses(blurred(view), shown)))
    assert found[0] == found[1] != total(adversary(kind=kind).losses(blurred(view), view))


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


# who adapts


@pytest.fixture
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def steps(judging, view, count):
    for _ in range(count):
        judging.losses(blurred(view), view)
        judging.step()


def test_pictures_are_changed_the_more_often_the_better_it_knows_them(view, seeded):
    judging, shown = adversary(kind=Narrow), view.image.new_ones(1, 4, 32, 32)
    judging.right = 1.0
    judging.further([[torch.ones(1, 1, 2, 2)]], shown)
    assert judging.probability == CLIMB
    for _ in range(3):  # 0.8, 0.44, 0.152: below a half from the second on
        judging.further([[-torch.ones(1, 1, 2, 2)]], shown)
    assert judging.right == pytest.approx(((0.8 - 0.2) * 0.8 - 0.2) * 0.8 - 0.2)
    assert judging.probability == 0.0
    judging.right, judging.probability = 1.0, 1.0
    judging.further([[torch.ones(1, 1, 2, 2)]], shown)
    assert judging.probability == 1.0


def test_drawn_and_taken_are_shown_changed_alike(view, seeded):
    judging = adversary(kind=Narrow)
    judging.probability = 1.0
    truth = Rendering(view.image, view.mask)
    judging.losses(truth, view)
    plain = Adversary.shown(judging, truth, view)[1]
    assert torch.equal(*judging.pictures) and not torch.allclose(judging.pictures[1], plain)


def test_steepness_is_looked_at_every_sixteenth_step_and_counts_for_all(view, monkeypatch):
    judging, shown = adversary(kind=Narrow), view.image.new_ones(2, 4, 64, 48)
    costs = [judging.further([[torch.zeros(2, 1, 4, 3)]], shown) for _ in range(2 * LAZY + 1)]
    assert [step for step, cost in enumerate(costs) if torch.as_tensor(cost).any()] == [0, LAZY, 2 * LAZY]

    class Steep(torch.nn.Module):
        """Says of a picture the sum of all its numbers, divided by 10, of each of four patches."""

        def forward(self, image):
            return [[image.sum((1, 2, 3), keepdim=True).expand(-1, 1, 2, 2) / 10]]

    judging.network, judging.steps = Steep(), 0
    expected = LAZY * GAMMA * 64 * 48 / BATCH * (4 * 64 * 48 * 0.01)
    assert float(judging.further([[torch.zeros(2, 1, 4, 3)]], shown)) == pytest.approx(expected, rel=1e-4)


def test_steepness_teaches_every_layer_but_the_last_bias(view):
    judging = adversary(kind=Narrow)
    judging.further([[torch.zeros(1, 1, 4, 4)]], view.image.new_ones(1, 4, 64, 64)).backward()
    learning = {name: weight.grad is not None and bool(weight.grad.any())
                for name, weight in judging.network.named_parameters()}
    assert all(learns for name, learns in learning.items() if name.endswith("weight"))


def test_going_on_from_its_state_is_as_if_nothing_had_been(view, seeded):
    judging = adversary(kind=Narrow)
    judging.probability, judging.right = 0.5, 0.9
    steps(judging, view, 2)
    state, random = copy.deepcopy(judging.state()), torch.get_rng_state()
    steps(judging, view, 2)
    other = adversary(seed=1, kind=Narrow, state=state)
    torch.set_rng_state(random)
    steps(other, view, 2)
    assert (other.steps, other.right, other.probability) == (4, judging.right, judging.probability)
    for mine, theirs in zip(other.network.parameters(), judging.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_an_avatar_names_who_judges_it_and_a_killed_run_goes_on(small_capture, tmp_path, monkeypatch):
    class Changing(Narrow):
        """Pictures are changed from the start."""

        def __init__(self, *settings):
            super().__init__(*settings)
            self.probability = max(self.probability, 0.5)

    monkeypatch.setattr(ANR, "adversary", Changing)
    config = TINY | {"adversary": 0.01}
    for run in ("whole", "killed"):
        running = train(small_capture, tmp_path / run, steps=6, config=config)
        for progress in running:
            if run == "killed" and progress.step == 3:
                running.close()
                break
    list(train(small_capture, tmp_path / "killed", steps=6, config=config))
    saved = [torch.load(tmp_path / run / "training.pt")["adversary"] for run in ("whole", "killed")]
    assert saved[0]["steps"] == saved[1]["steps"] > 0
    assert all(map(torch.equal, saved[0]["network"].values(), saved[1]["network"].values()))
    whole, killed = ((tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "killed"))
    assert whole == killed
