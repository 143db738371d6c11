"""Pairs of pictures without any body: trained, gone on with, judged, drawn."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.avatars import Scene, configure
from anr_core.avatars.run import Run, load_avatar, people_of
from anr_core.capture import load_capture
from anr_core.cli import main
from anr_core.evaluation import evaluate
from anr_core.evaluation.judging import scene_for
from anr_core.export.pairs import compared
from anr_core.prepare import prepare
from anr_core.training import scene_of, train
from anr_core.training.pairs import paired_window
from anr_core.training.validation import validation_of
from anr_core.training.windows import Windows
from anr_core.viewer import Viewer
from tests.small_pairs import SIZE, write_pairs

TINY = {"window": 32, "batch": 2, "width": 4, "levels": 2}
STEPS = 6


def trained(capture, run, steps=STEPS, **choices):
    config = TINY | choices.pop("config", {})
    return list(train(capture, run, "smplpix", steps=steps, config=config, **choices))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Read only: 8 pairs to train, 2 to validate, 3 to test of which one has no output."""
    folder = tmp_path_factory.mktemp("pairs")
    return prepare(write_pairs(folder / "source"), folder / "capture")


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    """Read only: a run that nothing disturbed, trained through the command line."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    assert main(["train", str(pairs.path), str(folder / "run"), "--system", "smplpix", "--steps", str(STEPS),
                 "--config", str(folder / "tiny.json")]) == 0
    return folder / "run"


def fails_in_one_line(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    return told


# windows


def config(**changes):
    return replace(configure(system="smplpix"), **{"window": 32, "augment": 1.0} | changes)


def windows(capture, **changes):
    views = capture.views()
    return [paired_window(views, turn, config(**changes), np.random.default_rng(turn)) for turn in range(6)]


def mirrored(capture, folder):
    """The same capture whose every picture is its input with the colours reversed."""
    copied = load_capture(shutil.copytree(capture.path, folder / "mirrored"))
    for shot in copied.shots:
        pixels = np.asarray(Image.open(copied.path / shot.input))
        Image.fromarray(255 - pixels).save(copied.path / shot.image)
    return copied


def test_picture_and_input_are_turned_scaled_and_shifted_alike(pairs, tmp_path):
    for window in windows(mirrored(pairs.only(lambda shot: shot.known), tmp_path)):
        torch.testing.assert_close(window.image, 1 - window.input, atol=1e-5, rtol=0)


def test_what_comes_in_from_outside_is_as_the_border_and_teaches_nothing(pairs):
    outside = 0
    for window in windows(pairs, augment_shift=0.5, augment_scale=2.0):
        unsure = ~window.certain[0, 0]
        outside += unsure.sum()
        assert window.image[0, :, unsure].min() > 0.8 and window.input[0, :, unsure].min() > 0.8
    assert outside > 300


def test_without_augmentation_a_window_is_a_part_of_the_picture_to_the_bit(pairs):
    views, places = pairs.views(), set()
    for turn, window in enumerate(windows(pairs, augment=0.0)):
        assert window.size == (32, 32) and window.certain.all()
        parts = views[turn].image.unfold(2, 32, 1).unfold(3, 32, 1)[0]  # (3, rows, columns, 32, 32)
        off = (parts - window.image[0, :, None, None]).abs().amax((0, 3, 4))
        assert off.min() < 1e-5
        places.add(int(off.argmin()))
    assert len(places) > 2


def test_a_small_picture_is_looked_at_as_a_whole(pairs):
    window, = windows(pairs, augment=0.0, window=256)[:1]
    assert window.size == SIZE
    torch.testing.assert_close(window.image, pairs.views()[0].image)


def test_smaller_pictures_are_means_of_the_large_ones(pairs):
    window, = windows(pairs, augment=0.0, downsample=2)[:1]
    assert window.size == (24, 20)
    halved = torch.nn.functional.avg_pool2d(pairs.views()[0].input, 2)
    torch.testing.assert_close(window.input, halved, atol=1e-5, rtol=0)


def test_windows_follow_from_seed_and_step_alone(pairs):
    def batch(step, seed=0):
        return Windows([pairs.views()], config(batch=2, seed=seed), range(step, step + 1))[0]

    assert torch.equal(batch(3).input, batch(3).input)
    assert not torch.equal(batch(3).input, batch(4).input)
    assert not torch.equal(batch(3).input, batch(3, seed=1).input)


# training


def test_a_run_of_pairs_is_written_as_every_run_is(run, pairs):
    saved = Run.open(run)
    assert saved.paired and saved.body is None and saved.config.size == max(SIZE)
    assert saved.trained == [("camera", frame) for frame in range(8)]
    assert not saved.config.masked and saved.config.input_channels == 3
    assert sorted(file.name for file in (run / "videos").iterdir()) == ["test.mp4", "train.mp4",
                                                                        "validation.mp4"]
    assert imageio_ffmpeg.count_frames_and_secs(str(run / "videos" / "test.mp4"))[0] == 3
    preview = Image.open(next(iter((run / "previews").glob("*.jpg"))))
    assert preview.size == (3 * SIZE[1], 3 * SIZE[0])


def test_an_avatar_of_pairs_draws_what_it_is_given(run, pairs):
    avatar, view = load_avatar(run), pairs.views()[0]
    drawn = avatar.draw(Scene(None, None, view.size, image=view.input))
    assert drawn.rgb.shape == view.image.shape and (drawn.mask == 1).all()
    assert avatar.surface is None and avatar.controls == ()
    larger = avatar.draw(Scene(None, None, (96, 80), image=torch.rand(2, 3, 96, 80)))
    assert larger.rgb.shape == (2, 3, 96, 80)
    with pytest.raises(ValueError, match="trained on pairs of pictures: there is no body to pose"):
        avatar.render(None, None, (48, 40))
    with pytest.raises(ValueError, match="The avatar avatar was trained on pairs of pictures"):
        Viewer(avatar)


def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(run, pairs, tmp_path):
    training = train(pairs, tmp_path / "run", "smplpix", steps=STEPS, config=TINY)
    for progress in training:
        if progress.step == 3:
            training.close()
    assert load_avatar(tmp_path / "run").config.input_channels == 3
    assert [progress.step for progress in trained(pairs, tmp_path / "run")] == [4, 5, 6]
    for name in ("checkpoint.safetensors", "static.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_a_few_painted_frames_go_on_from_the_weights_of_the_photographs(run, pairs, tmp_path):
    painted = mirrored(pairs, tmp_path)
    trained(painted, tmp_path / "run", steps=1, init=run, frames=[2, 5], config={"augment": 1.0})
    saved = Run.open(tmp_path / "run")
    assert saved.trained == [("camera", 2), ("camera", 5)]
    mine, theirs = (load_avatar(folder).network.state_dict() for folder in (tmp_path / "run", run))
    assert all((mine[name] - theirs[name]).abs().max() < 0.01 for name in mine)
    splits = evaluate(tmp_path / "run")
    assert sorted(splits) == ["test", "train", "validation"]  # of train those that were left out


def test_grey_depth_and_masks_train(pairs, tmp_path):
    source = write_pairs(tmp_path / "source", 3, 1, 0, unknown=0)
    for file in source.glob("*/input/*.png"):
        Image.open(file).convert("L").save(file)
    for file in source.glob("*/output/*.png"):
        picture = Image.open(file).convert("RGBA")
        picture.putalpha(picture.convert("L").point(lambda value: 255 * (value < 250)))
        picture.save(file)
    trained(prepare(source, tmp_path / "grey"), tmp_path / "grey run", steps=2)
    saved = Run.open(tmp_path / "grey run").config
    assert saved.input_channels == 1 and saved.masked
    figures = evaluate(tmp_path / "grey run")["validation"]["whole"]["smplpix"]
    assert figures["mask_iou"] is not None
    for file in source.glob("*/input/*.png"):
        picture = Image.open(file).convert("RGB")
        picture.putalpha(picture.convert("L"))
        picture.save(file)
    deep = prepare(source, tmp_path / "deep")
    trained(deep, tmp_path / "deep run", steps=2)
    assert Run.open(tmp_path / "deep run").config.input_channels == 4
    with pytest.raises(ValueError, match="input_channels 1 there, input_channels 4 here"):
        trained(deep, tmp_path / "another", steps=1, init=tmp_path / "grey run")


def test_the_learning_rate_falls_by_what_validation_says(pairs, tmp_path):
    trained(pairs, tmp_path / "run", steps=2, config={"schedule": "plateau"})
    state = torch.load(tmp_path / "run" / "training.pt", weights_only=True)
    assert state["plateau"] is not None
    unknown = [replace(shot, image=shot.input if shot.split == "validation" else shot.image)
               for shot in pairs.shots]
    assert validation_of(replace(pairs, shots=unknown)) is None


def test_several_sets_of_pairs_share_a_network_and_are_drawn_each(pairs, tmp_path):
    other = prepare(write_pairs(tmp_path / "source", 3, 1, 0, unknown=0), tmp_path / "other")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    assert main(["train", str(pairs.path), str(tmp_path / "run"), "--with", str(other.path), "--system",
                 "smplpix", "--steps", "4", "--config", str(tmp_path / "tiny.json")]) == 0
    folders = people_of(tmp_path / "run")
    assert sorted(folders) == ["capture", "other"]
    one, two = (load_avatar(tmp_path / "run", name) for name in folders)
    assert all(torch.equal(*both) for both in zip(one.parameters(), two.parameters(), strict=True))
    assert all((folder / "videos" / "validation.mp4").is_file() for folder in folders.values())
    larger = prepare(write_pairs(tmp_path / "large", 2, 0, 0, (96, 40)), tmp_path / "larger")
    with pytest.raises(ValueError, match="Pairs of 2 sizes"):
        trained([pairs, larger], tmp_path / "another")


def test_what_pairs_can_not_be_used_for_is_said_in_one_line(run, pairs, small_capture, tmp_path, capsys):
    told = fails_in_one_line(capsys, "train", pairs.path, tmp_path / "run", "--system", "anr")
    assert "without cameras and a body. Only system smplpix trains on it" in told
    told = fails_in_one_line(capsys, "render", run, tmp_path / "out.mp4", "--motion", "walk.bvh")
    assert "no body to pose, so --motion says nothing" in told and "--capture" in told
    told = fails_in_one_line(capsys, "render", run, tmp_path / "out.mp4", "--capture", small_capture.path)
    assert "holds no pairs of pictures" in told
    told = fails_in_one_line(capsys, "evaluate", run, "--protocol", "inside")
    assert "needs a registered mesh, and pairs of pictures have none; use whole" in told
    told = fails_in_one_line(capsys, "fit", pairs.path)
    assert str(pairs.path) in told
    assert not (tmp_path / "run").exists() and not (tmp_path / "out.mp4").exists()
    with pytest.raises(ValueError, match="can't be trained together"):
        trained([pairs, small_capture], tmp_path / "run")


def test_pairs_that_all_lack_what_is_to_be_drawn_teach_nothing(tmp_path):
    source = write_pairs(tmp_path / "source", 2, 0, 0)
    shutil.rmtree(source / "train" / "output")
    with pytest.raises(ValueError, match="no picture to train on: its inputs of train have none in output/"):
        trained(prepare(source, tmp_path / "capture"), tmp_path / "run")


# judged and drawn


def test_a_scene_shows_the_input_and_never_the_picture(run, pairs):
    view, avatar = pairs.views()[0], load_avatar(run)
    for scene in (scene_of(view, None), scene_for(avatar, view, None, ())):
        assert torch.equal(scene.image, view.input) and not torch.equal(scene.image, view.image)


def test_validation_and_test_are_judged_beside_the_input_and_the_mean(run, tmp_path):
    results = evaluate(run, json=tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == results
    assert list(results) == ["validation", "test"]
    assert list(results["test"]) == ["whole"]
    assert list(results["test"]["whole"]) == ["input", "mean", "smplpix"]
    for figures in results["test"]["whole"].values():
        assert figures["mask_iou"] is None and figures["psnr"] > 0
    assert {file.stem for file in (run / "evaluation").iterdir()} == {"validation", "test"}


def test_the_inputs_figures_are_those_of_the_pictures_themselves(run, pairs):
    views = pairs.only(lambda shot: shot.split == "validation").views()
    errors = [float((view.image - view.input).square().mean()) for view in views]
    expected = np.mean([-10 * np.log10(error) for error in errors])
    assert evaluate(run)["validation"]["whole"]["input"]["psnr"] == pytest.approx(expected, abs=0.01)


def test_another_capture_is_judged_by_all_that_it_knows(run, tmp_path):
    other = prepare(write_pairs(tmp_path / "source", 1, 0, 2, unknown=1), tmp_path / "other")
    assert sorted(evaluate(run, other.path, size=24)) == ["test", "train"]


def test_new_inputs_are_animated_without_a_truth_beside_them(run, tmp_path):
    source = write_pairs(tmp_path / "source", 0, 0, 4, unknown=4)
    prepare(source, tmp_path / "new")
    command = ["--capture", str(tmp_path / "new")]
    for name, options in (("video.mp4", []), ("both.mp4", ["--overview"]),
                          ("strip.png", ["--frames", "0-1"])):
        assert main(["render", str(run), str(tmp_path / name), *command, *options]) == 0
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))[0] == 4
    assert Image.open(tmp_path / "strip.png").size == (2 * SIZE[1], SIZE[0])
    shown = next(compared(load_avatar(run), load_capture(tmp_path / "new"), ()))
    assert shown.shape[1] == 2 * SIZE[1]


def test_a_capture_that_moved_is_found_beside_its_run(run, pairs, tmp_path):
    shutil.copytree(pairs.path, tmp_path / "capture")
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    saved = json.loads((moved / "config.json").read_text())
    saved["capture"] = [str(tmp_path / "gone"), "../capture"]
    (moved / "config.json").write_text(json.dumps(saved))
    assert Run.open(moved).capture().paired and list(evaluate(moved)) == ["validation", "test"]
