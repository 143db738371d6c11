"""DensePose's labels: which kind is learned, what windows keep of them, what a generator learns of them."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Config
from anr_core.avatars.labels import densepose_texture, kind_of_labels
from anr_core.avatars.run import load_avatar
from anr_core.capture import load_capture, resample
from anr_core.evaluation import evaluate
from anr_core.prepare import prepare
from anr_core.prepare.fit import fit
from anr_core.training import scene_of, train
from anr_core.training.consecutive import Consecutive
from tests.danced import SIDE, atlas, make_danced_capture, write_danced
from tests.killed import killed_and_whole
from tests.parts.test_densepose import as_parts
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 96, "window": 96, "batch": 4, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
        "generator_width": 12, "generator_depth": 1, "chart_size": SIDE, "made_up": 2}


@pytest.fixture(scope="module")
def danced(tmp_path_factory):
    return make_danced_capture(tmp_path_factory.mktemp("danced"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture(scope="module")
def learned(danced, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    list(train(danced, path, "dynamic-texture", steps=80, seed=1, config=TINY))
    return path


# which kind


def test_densepose_is_learned_where_all_pictures_have_it(danced, plain):
    assert kind_of_labels("", [danced]) == kind_of_labels("densepose", [danced, danced]) == "densepose"
    assert kind_of_labels("", [plain]) == kind_of_labels("surface", [danced, plain]) == "surface"
    some = replace(danced, shots=[replace(danced.shots[0], truth=None), *danced.shots[1:]])
    assert kind_of_labels("", [some]) == "surface"


@pytest.mark.parametrize(("wanted", "complaint"), [
    ("", "some have DensePose's labels and others, such as .*, don't"),
    ("densepose", "has pictures without DensePose's labels"),
    ("both", "labels 'both' are unknown"),
])
def test_kinds_are_never_mixed(wanted, complaint, danced, plain, tmp_path):
    with pytest.raises(ValueError, match=complaint) as refused:
        list(train([danced, plain], tmp_path / "run", "dynamic-texture", steps=1,
                   config=TINY | {"labels": wanted, "skeleton": "body25"}))
    assert "\n" not in str(refused.value)


def test_a_generator_of_one_kind_does_not_begin_another_kind_s(learned, danced, tmp_path):
    with pytest.raises(ValueError, match="labels densepose there, labels surface here") as refused:
        list(train(danced, tmp_path / "run", "dynamic-texture", steps=1, init=learned,
                   config=TINY | {"labels": "surface"}))
    assert "\n" not in str(refused.value)


# what comes along


def agree(view, least=0.9):
    """Colours tell the place: where a view has labels nearly all are its picture's, none a mixture."""
    part, uv = view.labels.split([1, 2], 1)
    assert torch.equal(part, part.round())
    there = (part > 0) & (view.mask > 0.999)
    near = ((torch.cat([uv, part / 24], 1) - view.image).abs().amax(1, keepdim=True) < 0.05)[there]
    return there.float().mean() > 0.02 and near.float().mean() > least


def test_views_carry_labels_only_where_they_are_asked_for(danced):
    for crop, size in ((None, None), ("loose", None), ("body", 64), (None, (80, 56))):
        assert danced.views(crop=crop, size=size)[2].labels is None
        assert agree(danced.views(crop=crop, size=size, labelled=True)[2], 0.99 if size is None else 0.7)


def test_a_turned_window_has_the_labels_of_its_pixels_and_no_mixture(danced):
    view = danced.views(crop="loose", labelled=True)[0]
    center, middle = torch.tensor([[30.0, 60.0]]), math.pi / 6
    turned = resample(view, center, torch.tensor([60.0]), torch.tensor([middle]), 120)
    assert agree(turned, 0.8)
    there = {tuple(label) for label in view.labels[0].flatten(1).T.tolist()}
    assert {tuple(label) for label in turned.labels[0].flatten(1).T.tolist()} <= there | {(0.0, 0.0, 0.0)}


def test_consecutive_frames_carry_theirs(danced):
    batch = Consecutive([danced.views(crop="loose", labelled=True)], Config(size=96, window=96, batch=4),
                        range(3))[1]
    assert batch.labels.shape == (4, 3, 96, 96) and agree(batch, 0.7)
    assert not torch.equal(batch.labels[:2], batch.labels[2:])


def test_labels_of_another_size_are_refused(danced, monkeypatch):
    whole = type(danced).truth
    monkeypatch.setattr(type(danced), "truth", lambda *asked: whole(*asked)[:-40])
    with pytest.raises(ValueError, match="holds labels of another size"):
        replace(danced, memory=type(danced.memory)(0)).views(labelled=True)[0]


def test_the_texture_is_that_which_came_along_and_else_what_the_pictures_show(danced, tmp_path):
    expected = torch.from_numpy(as_parts(atlas())).permute(0, 3, 1, 2).float()
    given = densepose_texture(danced, SIDE)
    assert (given - expected).abs().mean() < 0.02  # JPEG's
    shown = densepose_texture(make_danced_capture(tmp_path, texture=False), SIDE)
    assert 0.02 < (shown - expected).abs().mean() < 0.1  # three quarters were never seen


# what is learned


def test_parts_and_places_are_learned_of_labels_alone(learned, danced):
    avatar = load_avatar(learned)
    assert avatar.config.labels == "densepose" and avatar.examples is None and avatar.parts == 24
    assert [stage.practice for stage in avatar.stages(avatar.config)] == [False] * 3
    for view in list(danced.views(crop="body", size=96, labelled=True))[::3]:
        drawn = avatar.draw(scene_of(view, avatar.placed(view, danced.body)[1]))
        on = view.labels[:, :1] > 0
        right = on & (drawn.layers["parts"].round() == view.labels[:, :1])
        assert right.sum() / on.sum() > 0.45  # the largest of 24 parts covers a fifth
        missed = (drawn.layers["uv"] - view.labels[:, 1:]).abs()[right.expand(-1, 2, -1, -1)].mean()
        assert missed < 0.12  # 0.25 by chance
        covered = drawn.mask > 0.5
        assert (covered & on).sum() / (covered | on).sum() > 0.5


def test_the_stage_of_labels_learns_of_nothing_else(learned, danced):
    avatar = load_avatar(learned).train()
    batch = Consecutive([danced.views(crop="loose", labelled=True)], avatar.config, range(1))[0]
    view, posed = avatar.placed(batch, danced.body)
    stage = avatar.stages(avatar.config)[0]
    avatar.begin(stage, None)
    scene = scene_of(view, posed)
    losses = avatar.losses(scene, avatar(scene), view, stage.name)
    assert set(losses) == {"part", "place"}
    hair = view.labels.clone()  # where the mask has somebody and DensePose nobody, nothing is learned
    hair[:, :, :, 40:] = 0
    fewer = avatar.losses(scene, avatar(scene), replace(view, labels=hair), stage.name)
    assert all(loss.isfinite() for loss in fewer.values()) and fewer["part"] != losses["part"]


@pytest.mark.slow
def test_a_published_video_runs_from_prepare_to_evaluate(tmp_path):
    capture = tmp_path / "capture"
    prepare(write_danced(tmp_path / "danced"), capture, fps=10)
    fit(capture)
    list(train(capture, tmp_path / "run", "dynamic-texture", steps=30, frames=range(6), config=TINY))
    assert load_avatar(tmp_path / "run").config.labels == "densepose"
    figures = evaluate(tmp_path / "run", protocol="inside")
    assert figures and all(math.isfinite(numbers["psnr"]) for split in figures.values()
                           for numbers in split["inside"].values())
    assert load_capture(capture).registration is not None


@pytest.mark.slow
def test_a_run_of_labels_that_was_killed_ends_in_the_same_bytes(danced, tmp_path, monkeypatch):
    again, whole = killed_and_whole(danced, tmp_path, "dynamic-texture", 8, TINY, (1, 6), monkeypatch)
    assert again == whole
