"""Several people in one training, renderers of another run, and textures that are mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.avatars import Config, anr, make_avatar
from anr_core.avatars.run import Run, load_avatar, people_of
from anr_core.body.anny import AnnyBody
from anr_core.capture import load_capture
from anr_core.capture.pictures import read_image
from anr_core.cli import main
from anr_core.evaluation import evaluate
from anr_core.prepare import prepare
from anr_core.training import loop, previews, train
from anr_core.training.beginning import sharing
from anr_core.training.schedule import make_optimizer
from anr_core.training.windows import Windows
from tests.killed import Killed
from tests.small_capture import make_small_capture, surface

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
STEPS = 12
NAMES = ["one", "other"]  # both captures say that theirs is "person": so they are called by their folders


@pytest.fixture(scope="module", autouse=True)
def plenty():
    """Small captures are enough for everything to be learned, light and gains too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anr, "FEW", 1)
        yield


def filmed(folder, seed, change=lambda arrays: {}):
    """A prepared small capture, each of whose limbs is a part."""
    make_small_capture(folder.with_name(f"{folder.name}-source"), frames=4, camera_count=3, seed=seed)
    prepare(folder.with_name(f"{folder.name}-source"), folder)
    with np.load(folder / "body.npz") as file:
        arrays = dict(file) | {"part": surface().part.numpy()}
    np.savez(folder / "body.npz", **arrays | change(arrays))
    return load_capture(folder)


@pytest.fixture(scope="module")
def one_capture(tmp_path_factory):
    """Read only."""
    return filmed(tmp_path_factory.mktemp("people") / "one", 0)


@pytest.fixture(scope="module")
def other_capture(one_capture):
    """Read only: another person, of the same surface."""
    return filmed(one_capture.path.with_name("other"), 7)


@pytest.fixture(scope="module")
def fewer_faces(one_capture):
    """Read only: a person whose surface lacks some faces."""
    return filmed(one_capture.path.with_name("lean"), 8, lambda arrays: {
        name: arrays[name][:-6] for name in ("faces", "uv_faces", "part")})


def trained(capture, run, system="anr", steps=STEPS, config=TINY, **choices):
    return list(train(capture, run, system, steps=steps, config=config, **choices))


@pytest.fixture(scope="module")
def both(one_capture, other_capture, tmp_path_factory):
    """Read only: a run of two people."""
    run = tmp_path_factory.mktemp("both") / "run"
    trained([one_capture, other_capture.path], run, cameras=["cam01", "cam02"])
    return run


@pytest.fixture(scope="module")
def single(one_capture, tmp_path_factory):
    """Read only: a run of one person."""
    run = tmp_path_factory.mktemp("single") / "run"
    trained(one_capture, run)
    return run


def checkpoints(run):
    return [(folder / "checkpoint.safetensors").read_bytes() for folder in people_of(run).values()]


def weights(avatar):
    return {name: tensor for name, tensor in avatar.state_dict().items() if name.startswith(avatar.shared)}


def same_renderers(one, other):
    mine, theirs = weights(one), weights(other)
    return len(mine) > 4 and all(torch.equal(mine[name], theirs[name]) for name in mine)


# several people


def test_people_share_their_renderers_and_nothing_else(both):
    one, other = (load_avatar(both, name) for name in NAMES)
    assert same_renderers(one, other)
    assert not torch.equal(one.texture.image(), other.texture.image())
    assert not torch.equal(one.light.coefficients, other.light.coefficients)
    assert not torch.equal(one.conditions.picture_gain, other.conditions.picture_gain)


def test_a_run_of_several_holds_a_run_of_each(both, one_capture, other_capture):
    assert list(people_of(both)) == NAMES
    for name, capture in zip(NAMES, (one_capture, other_capture), strict=True):
        run = Run.open(both, name)
        assert run == Run.open(run.path) and run.person == name
        assert run.capture().path == capture.path
        assert {camera for camera, _ in run.trained} == {"cam01", "cam02"}


def test_each_person_is_judged_and_drawn_as_in_a_run_of_their_own(both, tmp_path):
    figures = evaluate(both, person="one", protocol="inside", size=48)
    assert figures == evaluate(people_of(both)["one"], protocol="inside", size=48)
    assert figures["novel_view"]["inside"]["anr"]["psnr"] > 8
    assert main(["render", str(both), str(tmp_path / "out.png"), "--person", "other"]) == 0
    assert (tmp_path / "out.png").is_file()


def test_people_take_turns_and_each_has_their_own_textures_colours(both, one_capture, other_capture):
    views = [one.views(crop="loose") for one in (one_capture, other_capture)]
    steps = Windows(views, Config(**TINY), range(6))
    assert [len(steps[index]) for index in range(6)] == [2] * 6
    alone = Windows(views[1:], Config(**TINY), range(3))
    for index in range(3):
        assert torch.equal(steps[2 * index + 1].image, alone[index].image)


def test_previews_show_everybody(one_capture, other_capture, tmp_path, monkeypatch):
    monkeypatch.setattr(previews, "FIRST_PREVIEW", 0)
    trained([one_capture, other_capture], tmp_path / "run", "deferred", steps=1)
    shown = read_image(next((tmp_path / "run/previews").iterdir()))
    assert shown.shape == (4 * 64, 3 * 64, 3)
    for row, capture in ((0, one_capture), (2, other_capture)):
        first = capture.views(crop="body", size=64)[0].image[0].permute(1, 2, 0).numpy()
        assert np.abs(shown[64 * row:64 * row + 64, :64] / 255 - first).mean() < 0.05


def test_people_of_other_surfaces_share_renderers(one_capture, fewer_faces, tmp_path):
    trained([one_capture, fewer_faces], tmp_path / "run", steps=4)
    one, other = (load_avatar(tmp_path / "run", name) for name in ("one", "lean"))
    assert same_renderers(one, other) and len(one.surface.faces) != len(other.surface.faces)


def test_a_run_of_several_that_was_killed_ends_in_the_same_bytes(one_capture, other_capture, both, tmp_path,
                                                                 monkeypatch):
    average = loop.average

    def kills(averaged, newest, step):
        average(averaged, newest, step)
        if step == STEPS - 3:
            raise Killed

    choices = {"cameras": ["cam01", "cam02"]}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "SAVES", 0)
        patch.setattr(loop, "average", kills)
        trained([one_capture, other_capture], tmp_path / "run", **choices)
    progress = trained([one_capture, other_capture], tmp_path / "run", **choices)
    assert progress[0].step == STEPS - 3
    assert checkpoints(tmp_path / "run") == checkpoints(both)


def test_all_pictures_decide_how_far_the_renderers_see(one_capture, other_capture, tmp_path):
    trained([one_capture, other_capture], tmp_path / "run", "deferred", steps=1)
    assert len(one_capture.shots) < 30 > len(other_capture.shots)
    count = sum(len(one.split("train").shots) for one in (one_capture, other_capture))
    assert Run.open(tmp_path / "run", "other").config.levels == Config().levels_for(count)


@pytest.mark.parametrize("choose, told", [
    (lambda one, other: [other, one], "people .one, other there, other, one now"),
    (lambda one, other: one, "another choice of people"),
    (lambda one, other: [one, replace(other, person="nobody")], "choice of people"),
], ids=["another order", "one of them", "somebody else"])
def test_a_run_of_other_people_is_refused(choose, told, both, one_capture, other_capture):
    with pytest.raises(ValueError, match=told):
        trained(choose(one_capture, other_capture), both, cameras=["cam01", "cam02"])


def test_a_person_has_to_be_chosen_and_be_there(both, single):
    with pytest.raises(ValueError, match="several people: one, other. Choose one with --person"):
        load_avatar(both)
    with pytest.raises(ValueError, match="is of one, other, not of 'nobody'"):
        load_avatar(both, "nobody")
    with pytest.raises(ValueError, match="is of person, not of 'other'"):
        evaluate(single, person="other")
    assert load_avatar(single, "person").config == load_avatar(single).config


def test_one_capture_given_twice_is_refused(one_capture, tmp_path):
    with pytest.raises(ValueError, match="can't be told apart.*Give each person once"):
        trained([one_capture, one_capture], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_system_without_renderers_trains_nobody_together(one_capture, other_capture, tmp_path):
    with pytest.raises(ValueError, match="static has nothing that several people could share"):
        trained([one_capture, other_capture], tmp_path / "run", "static")
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_people_together(one_capture, other_capture, tmp_path, capsys):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    command = ["train", str(one_capture.path), str(tmp_path / "run"), "--with", str(other_capture.path),
               "--steps", "2", "--config", str(tmp_path / "tiny.json"), "--frames", "0-3"]
    assert main(command) == 0
    assert "--person 'one'" in capsys.readouterr().out
    for name in NAMES:
        assert {frame for _, frame in Run.open(tmp_path / "run", name).trained} == {0, 1, 2, 3}


# renderers of another run


def begun(capture, run, monkeypatch, **choices):
    """An avatar as its training begins: nothing of what is learned is saved."""
    monkeypatch.setattr(loop, "average", lambda *_: None)
    trained(capture, run, steps=1, **choices)
    return load_avatar(run)


def test_a_run_takes_over_renderers_and_nothing_else(single, one_capture, tmp_path, monkeypatch):
    given, fresh = load_avatar(single), begun(one_capture, tmp_path / "fresh", monkeypatch)
    found = begun(one_capture, tmp_path / "run", monkeypatch, init=single)
    assert same_renderers(found, given)
    for name, tensor in fresh.state_dict().items():
        if not name.startswith(found.shared):
            assert torch.equal(found.state_dict()[name], tensor), name


@pytest.mark.parametrize("system", ["anr", "deferred"])
def test_renderers_of_a_person_of_other_faces_are_taken_over(system, one_capture, fewer_faces, tmp_path,
                                                             monkeypatch):
    trained(one_capture, tmp_path / "given", system, steps=2)
    found = begun(fewer_faces, tmp_path / "run", monkeypatch, system=system, init=tmp_path / "given")
    assert same_renderers(found, load_avatar(tmp_path / "given"))
    assert torch.equal(found.surface.faces, fewer_faces.body.surface.faces)


def test_levels_are_those_of_the_other_run(one_capture, tmp_path):
    trained(one_capture, tmp_path / "deep", steps=2, config=TINY | {"levels": 3})
    for _ in range(2):  # the same command goes on
        trained(one_capture, tmp_path / "run", init=tmp_path / "deep")
    assert Run.open(tmp_path / "run").config.levels == 3 != Config().levels_for(len(one_capture.shots))


@pytest.mark.parametrize("system", ["anr", "deferred"])
def test_frozen_renderers_stay_as_they_are_while_the_texture_learns(system, one_capture, tmp_path):
    trained(one_capture, tmp_path / "given", system, steps=3)
    trained(one_capture, tmp_path / "run", system, init=tmp_path / "given", freeze_renderers=True)
    given, found = load_avatar(tmp_path / "given"), load_avatar(tmp_path / "run")
    assert same_renderers(given, found)
    fresh = make_avatar(found.config, found.surface, Run.open(tmp_path / "run").trained)
    assert not torch.equal(found.texture.image()[:, 3:], fresh.texture.image()[:, 3:])


def test_a_frozen_texture_stays_as_it_is_while_the_renderers_learn(one_capture, tmp_path):
    trained(one_capture, tmp_path / "given", "smplpix", steps=3)
    some = {shot.frame for shot in one_capture.shots[:2]}
    trained(one_capture, tmp_path / "run", "smplpix", init=tmp_path / "given", freeze_texture=True,
            frames=some)
    given, found = load_avatar(tmp_path / "given"), load_avatar(tmp_path / "run")
    for name in ("texels", "displacement"):
        assert torch.equal(getattr(given, name), getattr(found, name))
    assert torch.equal(given.light.coefficients, found.light.coefficients)
    assert not same_renderers(given, found)


def test_renderers_of_a_run_of_several_are_those_of_all(both, one_capture, tmp_path, monkeypatch):
    found = begun(one_capture, tmp_path / "run", monkeypatch, init=both)
    assert same_renderers(found, load_avatar(both, "other"))


@pytest.mark.parametrize("choices, told", [
    ({"config": TINY | {"width": 6}}, "don't fit: width 4 there, width 6 here"),
    ({"config": TINY | {"fold": 1, "levels": 2}}, "levels 1, fold 2 there, levels 2, fold 1 here"),
    ({"system": "deferred"}, "system anr there, system deferred here"),
    ({"init": None, "freeze_renderers": True}, "name it with --init"),
    ({"init": None, "freeze_texture": True}, "name it with --init"),
    ({"freeze_texture": True}, "anr avatar has no texture that could rest"),
], ids=str)
def test_renderers_that_do_not_fit_are_refused_before_anything_is_written(choices, told, single,
                                                                          one_capture, tmp_path):
    with pytest.raises(ValueError, match=told) as error:
        trained(one_capture, tmp_path / "run", **{"init": single} | choices)
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_a_system_without_renderers_gives_none(one_capture, tmp_path):
    trained(one_capture, tmp_path / "given", "static")
    with pytest.raises(ValueError, match="no renderers for --init"):
        trained(one_capture, tmp_path / "run", "static", init=tmp_path / "given")
    assert not (tmp_path / "run").exists()


def test_what_is_shared_is_one_module(one_capture):
    surface, pictures = one_capture.body.surface, [("a", 0), ("b", 0)]
    avatars = sharing([make_avatar(Config(**TINY), surface, pictures) for _ in range(2)])
    assert avatars[0].r1 is avatars[1].r1 and avatars[0].texture is not avatars[1].texture
    optimizer = make_optimizer(avatars, [avatar.stages(avatar.config)[1] for avatar in avatars])
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(set(learned)) == len(learned) and set(learned) >= set(avatars[1].r2.parameters())


# parts of another's texture


def test_an_avatar_wears_parts_of_another_s_texture(both):
    mine, other = (load_avatar(both, name) for name in NAMES)
    worn = mine.wearing(other, ["1", "2"])
    part = mine.surface.part
    for face in range(0, len(part), 7):
        uv = mine.surface.uv[mine.surface.uv_faces[face]].mean(0, keepdim=True)
        found, first, second = (one.texture(part[face:face + 1], uv) for one in (worn, mine, other))
        # limbs of the small person don't touch, so that there is no seam to be softened
        torch.testing.assert_close(found, second if part[face] <= 2 else first, atol=0.03, rtol=0)
    assert torch.equal(worn.light.coefficients, mine.light.coefficients)
    assert torch.equal(load_avatar(both, NAMES[0]).texture.image(), mine.texture.image())


def test_a_person_trained_with_frozen_renderers_wears_parts_too(single, other_capture, tmp_path):
    trained(other_capture, tmp_path / "run", init=single, freeze_renderers=True)
    worn = load_avatar(single).wearing(load_avatar(tmp_path / "run"), ["3"])
    assert not torch.equal(worn.texture.image(), load_avatar(single).texture.image())


def test_those_who_share_nothing_wear_nothing(both, single):
    with pytest.raises(ValueError, match="can't wear.*Train them together") as error:
        load_avatar(both, "other").wearing(load_avatar(single), ["1"])
    assert "\n" not in str(error.value)


def test_parts_are_meant_by_number_or_by_words_of_their_names(one_capture):
    anny = AnnyBody()
    named = {number: name for number, name in enumerate(anny.part_names, 1)}
    assert {named[part] for part in anny.parts(["torso", "thigh"])} == {
        "torso_front", "torso_back", "left_thigh_front", "left_thigh_back", "right_thigh_front",
        "right_thigh_back"}
    assert [named[part] for part in anny.parts(["left_thigh_back", "head_right"])] == ["head_right",
                                                                                       "left_thigh_back"]
    assert anny.parts(["24", "1"]) == [1, 24]
    with pytest.raises(ValueError, match="no part 'wing'; its parts are 1 to 24, or torso_front, "):
        anny.parts(["wing"])
    with pytest.raises(ValueError, match="no part 'torso'; its parts are 1 to 10.$"):
        one_capture.body.parts(["torso"])


@pytest.mark.parametrize("wear, told", [
    ("other", "write PERSON:PART,PART"), ("other:", "write PERSON:PART,PART"),
    ("nobody:1", "not of 'nobody'"), ("other:99", "no part '99'"),
])
def test_what_cannot_be_worn_is_one_line(wear, told, both, tmp_path, capsys):
    assert main(["render", str(both), str(tmp_path / "out.png"), "--person", "one", "--wear", wear]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_the_command_line_draws_what_is_worn(both, tmp_path):
    pictures = []
    for name, wear in (("plain", []), ("worn", ["--wear", "other:1,2,3"])):
        command = ["render", str(both), str(tmp_path / f"{name}.png"), "--person", "one", "--size", "64"]
        assert main([*command, *wear]) == 0
        pictures.append((tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] != pictures[1]
