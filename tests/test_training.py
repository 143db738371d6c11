"""Training: what is killed, closed, interrupted, moved or broken, and what comes of it."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from anr_core.avatars import Config
from anr_core.avatars import run as runs
from anr_core.avatars.deferred import Deferred
from anr_core.avatars.run import LOCK, Run, load_avatar
from anr_core.capture import load_capture
from anr_core.training import learner, loop, objective, previews, record, train
from anr_core.training.windows import Windows
from tests.killed import Killed
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
STEPS = 12


def trained(capture, run, system="anr", steps=STEPS, config=TINY, **choices):
    """Train to the end; the steps' progress."""
    return list(train(capture, run, system, steps=steps, config=config, **choices))


def contents(folder):
    """{path: bytes} of all files, but for TensorBoard's events and the lock of whoever trains."""
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*"))
            if file.is_file() and "tfevents" not in file.name and file.name != LOCK}


def avatar_bytes(run):
    return (run / "checkpoint.safetensors").read_bytes()


def logged_steps(run):
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(small_capture, tmp_path_factory):
    """Read only: an ANR run that nothing disturbed, and its steps' progress."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, trained(small_capture, run)


@pytest.fixture(scope="module")
def deferred(small_capture, tmp_path_factory):
    """Read only: a run of another system."""
    run = tmp_path_factory.mktemp("deferred") / "run"
    trained(small_capture, run, "deferred", steps=3)
    return run


@pytest.fixture
def saving_always(monkeypatch):
    monkeypatch.setattr(loop, "SAVES", 0)


@pytest.fixture(autouse=True)
def logging_always(monkeypatch):
    monkeypatch.setattr(record, "LOG_STEPS", 1)


def copied(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "run"))


# killed and gone on with


def killing(monkeypatch, name, wanted):
    """Let a function of the training room kill when its arguments are wanted; undo lets it live again."""
    function = resolve_name(f"anr_core.training.{name}")

    def kills(*arguments):
        if wanted(*arguments):
            raise Killed
        return function(*arguments)

    monkeypatch.setattr(f"anr_core.training.{name}", kills)


DRIVER = """
import json, os, signal, sys
from anr_core.training import loop, train

capture, run, steps, config, last = sys.argv[1:]
loop.SAVES = 0
average = loop.average

def killed(averaged, avatar, step):
    average(averaged, avatar, step)
    if step == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

loop.average = killed
list(train(capture, run, steps=int(steps), config=json.loads(config)))
"""


def test_a_run_killed_by_the_system_ends_in_the_same_bytes(small_capture, whole, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-c", DRIVER, small_capture.path, run, str(STEPS), json.dumps(TINY),
               str(STEPS // 2)]
    ended = subprocess.run(command, cwd=Path(loop.__file__).parents[2], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    progress = trained(small_capture, run)
    assert [step.step for step in progress] == list(range(STEPS // 2, STEPS + 1))
    assert avatar_bytes(run) == avatar_bytes(whole[0])


@pytest.mark.parametrize("name, wanted", [
    ("loop.average", lambda averaged, avatar, step: step == 2),
    ("loop.average", lambda averaged, avatar, step: step == STEPS - 2),
    ("loop.average", lambda averaged, avatar, step: step == STEPS),
    ("learner.make_optimizer", lambda avatars, stages: stages[0].name == "renderers"),
], ids=["in the first stage", "in the last stage", "in the last step", "between two stages"])
def test_a_run_killed_anywhere_ends_in_the_same_bytes(name, wanted, small_capture, whole, tmp_path,
                                                      monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "SAVES", 0)
        killing(patch, name, wanted)
        trained(small_capture, run)
    trained(small_capture, run)
    assert avatar_bytes(run) == avatar_bytes(whole[0])
    assert logged_steps(run) == list(range(1, STEPS + 1))


def test_a_run_killed_between_its_last_two_files_ends_in_the_same_bytes(small_capture, tmp_path, monkeypatch):
    run, written, fsync = tmp_path / "run", [], os.fsync

    def killed(file):
        written.append(file)
        if len(written) == 2:
            raise Killed
        fsync(file)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        for progress in train(small_capture, run, "deferred", steps=3, config=TINY):
            if progress.fraction == 1:
                patch.setattr(runs.os, "fsync", killed)
    trained(small_capture, run, "deferred", steps=3)
    trained(small_capture, tmp_path / "whole", "deferred", steps=3)
    assert avatar_bytes(run) == avatar_bytes(tmp_path / "whole")


def test_a_run_killed_again_and_again_ends_in_the_same_bytes(small_capture, tmp_path, monkeypatch,
                                                             saving_always):
    trained(small_capture, tmp_path / "whole", "deferred", steps=5)
    for last in range(2, 6):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killing(patch, "loop.average", lambda averaged, avatar, step, last=last: step == last)
            trained(small_capture, tmp_path / "run", "deferred", steps=5)
    trained(small_capture, tmp_path / "run", "deferred", steps=5)
    assert avatar_bytes(tmp_path / "run") == avatar_bytes(tmp_path / "whole")


def test_a_run_killed_before_its_settings_were_whole_begins_anew(small_capture, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.json.new").write_text("{")
    trained(small_capture, run, "static")
    assert load_avatar(run).config.system == "static"


def test_a_run_with_an_adversary_that_was_killed_ends_in_the_same_bytes(small_capture, tmp_path, monkeypatch):
    config = TINY | {"adversary": 0.01}
    trained(small_capture, tmp_path / "whole", steps=8, config=config)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "SAVES", 0)
        killing(patch, "loop.average", lambda averaged, avatar, step: step == 6)
        trained(small_capture, tmp_path / "run", steps=8, config=config)
    assert torch.load(tmp_path / "run/training.pt")["adversary"]["optimizer"]["state"]
    assert trained(small_capture, tmp_path / "run", steps=8, config=config)[0].step == 6
    assert avatar_bytes(tmp_path / "run") == avatar_bytes(tmp_path / "whole")


@pytest.mark.parametrize("last", [1, STEPS // 2])
def test_closing_the_generator_leaves_a_run_that_goes_on(last, small_capture, whole, tmp_path):
    run = tmp_path / "run"
    steps = train(small_capture, run, steps=STEPS, config=TINY)
    while next(steps).step < last:
        pass
    steps.close()
    load_avatar(run)
    assert [step.step for step in trained(small_capture, run)] == list(range(last + 1, STEPS + 1))
    assert avatar_bytes(run) == avatar_bytes(whole[0])


@pytest.mark.parametrize("name", ["objective.scene_of", "loop.average"],
                         ids=["while drawing", "while the weights change"])
def test_an_interrupt_leaves_a_run_that_goes_on(name, small_capture, whole, tmp_path, monkeypatch):
    function, calls = resolve_name(f"anr_core.training.{name}"), []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return function(*arguments)

    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"anr_core.training.{name}", interrupted)
        for progress in train(small_capture, run, steps=STEPS, config=TINY):
            patch.setattr(loop, "SAVES", 0 if progress.step < 2 else math.inf)
    load_avatar(run)
    assert trained(small_capture, run)[0].step <= 5
    assert avatar_bytes(run) == avatar_bytes(whole[0])


def test_the_log_has_each_step_once_and_no_torn_line(small_capture, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "SAVES", 0)
        killing(patch, "loop.average", lambda averaged, avatar, step: step == 9)
        for progress in train(small_capture, run, "deferred", steps=STEPS, config=TINY):
            if progress.step == 5:
                patch.setattr(loop, "SAVES", math.inf)
    assert logged_steps(run) == list(range(1, 9))
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "l1": 0.')
    assert trained(small_capture, run, "deferred")[0].step == 6
    assert logged_steps(run) == list(range(1, STEPS + 1))


# on the way


def test_a_step_tells_where_the_training_stands(small_capture, whole):
    run, progress = whole
    assert [step.step for step in progress] == list(range(1, STEPS + 1))
    assert [step.fraction for step in progress] == pytest.approx([n / STEPS for n in range(1, STEPS + 1)])
    stages = [stage.name for stage in load_avatar(run).stages(Config(**TINY))]
    assert list(dict.fromkeys(step.stage for step in progress)) == stages
    assert all(math.isfinite(loss) for step in progress for loss in step.losses.values())
    assert progress[0].seconds_left > 0 and progress[-1].seconds_left == 0
    assert all(step.images_per_second > 0 for step in progress)


def test_previews_show_truth_drawing_and_mask(small_capture, tmp_path, monkeypatch):
    monkeypatch.setattr(previews, "FIRST_PREVIEW", 0)
    progress = trained(small_capture, tmp_path / "run", "deferred", steps=3)
    assert progress[0].preview == tmp_path / "run/previews/0000001.jpg"
    assert progress[-1].preview.name == "0000003.jpg"
    picture = np.asarray(Image.open(progress[0].preview), np.float32) / 255
    assert picture.shape == (3 * 64, 3 * 64, 3)
    first = small_capture.views(crop="body", size=64)[0].image[0].permute(1, 2, 0).numpy()
    assert np.abs(picture[:64, :64] - first).mean() < 0.05


def test_minutes_count_training_alone(small_capture, tmp_path, monkeypatch):
    seconds = iter(range(10**6))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(seconds)))  # a step takes one
    progress = list(train(small_capture, tmp_path / "run", "deferred", minutes=0.1, config=TINY))
    assert len(progress) == 6 and progress[-1].fraction == 1


def test_a_finished_run_goes_on_with_a_larger_budget(small_capture, tmp_path, monkeypatch):
    rates = []
    set_learning_rates = learner.set_learning_rates

    def noted(optimizer, place, passes=0.0):
        set_learning_rates(optimizer, place, passes)
        rates.extend(group["lr"] for group in optimizer.param_groups)

    run = tmp_path / "run"
    trained(small_capture, run, steps=3)
    monkeypatch.setattr(learner, "set_learning_rates", noted)
    steps = train(small_capture, run, steps=300, config=TINY)
    assert [next(steps).step for _ in range(2)] == [4, 5]
    steps.close()
    assert min(rates) > 0


def test_a_finished_run_is_left_as_it_is(small_capture, whole, tmp_path):
    run = copied(whole[0], tmp_path)
    before = contents(run)
    assert trained(small_capture, run) == []
    assert contents(run) == before


def test_learning_rates_warm_up_and_fall_along_half_a_cosine():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([{"params": [weight], "start": 1e-2, "end": 1e-3}])

    def rate(place):
        learner.set_learning_rates(optimizer, place)
        return optimizer.param_groups[0]["lr"]

    assert rate(0) == rate(-0.5) == pytest.approx(0.1 * 1e-2)
    assert rate(0.02) > 0.99e-2
    assert rate(0.5) == pytest.approx(5.5e-3)
    assert rate(1) == rate(1.2) == pytest.approx(1e-3)


def test_a_training_that_diverges_says_so_and_keeps_what_was_saved(small_capture, tmp_path, monkeypatch,
                                                                   saving_always):
    losses, calls = Deferred.losses, []

    def diverging(*arguments):
        calls.append(arguments)
        found = losses(*arguments)
        return found | {"l1": found["l1"] * math.nan} if len(calls) == 3 else found

    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="diverged at step 3.*--seed"):
        patch.setattr(Deferred, "losses", diverging)
        trained(small_capture, run, "deferred", steps=4)
    assert all(tensor.isfinite().all() for tensor in safetensors.torch.load(avatar_bytes(run)).values())
    assert [progress.step for progress in trained(small_capture, run, "deferred", steps=4)] == [3, 4]


def test_weak_projection_tells_what_it_changes(small_capture, tmp_path, capsys):
    trained(small_capture, tmp_path / "exact", "static")
    assert not capsys.readouterr().out
    trained(small_capture, tmp_path / "weak", "static", projection="weak")
    told = capsys.readouterr().out
    moved = []
    for view in small_capture.views(crop="body", size=64):
        camera, vertices = view.camera, small_capture.body(view.pose).vertices
        x, y, z = (vertices @ camera.R.mT + camera.t[:, None]).unbind(-1)
        apart = 1 / z - 1 / z.mean()
        moved.append(torch.hypot(camera.K[:, 0, 0] * x * apart, camera.K[:, 1, 1] * y * apart))
    moved = torch.cat(moved)
    assert f"by {moved.mean():.1f} pixels on average and {moved.max():.1f} at the most" in told
    assert "64x64" in told and told.count("\n") == 1


# windows


def shown(windows):
    """(camera, frame) of all pictures, in their order."""
    return [pair for index in range(len(windows))
            for pair in zip(windows[index].camera_name, windows[index].frame.tolist(), strict=True)]


def windows(capture, steps, **changes):
    return Windows([capture.views(crop="loose")], Config(**TINY | changes), steps)


def test_every_view_is_shown_once_before_any_again(small_capture):
    count = len(small_capture.shots)
    order = shown(windows(small_capture, range(count)))
    laps = order[:count], order[count:]
    assert all(len(set(lap)) == count for lap in laps) and laps[0] != laps[1]


def test_a_window_follows_from_seed_and_step_alone(small_capture):
    early, late = windows(small_capture, range(8)), windows(small_capture, range(5, 8))
    torch.rand(1)
    first, again = early[5], late[0]
    assert torch.equal(first.image, again.image) and torch.equal(first.camera.K, again.camera.K)
    assert not torch.equal(first.image, early[6].image)


def test_seeds_show_other_windows_in_another_order(small_capture):
    one, other = (windows(small_capture, range(8), seed=seed) for seed in (0, 1))
    assert shown(one) != shown(other)
    alone = small_capture.only(lambda shot: (shot.camera, shot.frame) == ("cam01", 0))
    one, other = (windows(alone, range(1), seed=seed)[0] for seed in (0, 1))
    assert not torch.equal(one.camera.K, other.camera.K)


def test_windows_are_square_parts_around_the_person(small_capture):
    for view in (windows(small_capture, range(9))[index] for index in range(9)):
        assert view.size == (48, 48) and len(view) == 2
        assert (view.mask.mean((1, 2, 3)) > 0.05).all()


def test_seeds_differ_and_one_seed_does_not(small_capture, whole, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        trained(small_capture, tmp_path / name, seed=seed)
    assert avatar_bytes(tmp_path / "same") == avatar_bytes(whole[0])
    assert avatar_bytes(tmp_path / "other") != avatar_bytes(whole[0])


# what is trained on


def test_cameras_and_frames_restrict_what_is_trained_on(small_capture, tmp_path, monkeypatch):
    seen, scene_of = set(), objective.scene_of

    def noted(view, posed):
        seen.update(zip(view.camera_name, view.frame.tolist(), strict=True))
        return scene_of(view, posed)

    monkeypatch.setattr(objective, "scene_of", noted)
    trained(small_capture, tmp_path / "run", "deferred", steps=4, cameras=["cam01", "cam03"], frames=[0, 2])
    wanted = [(camera, frame) for camera in ("cam01", "cam03") for frame in (0, 2)]
    assert seen == set(wanted) and Run.open(tmp_path / "run").trained == wanted


def test_views_that_the_capture_holds_out_are_not_trained_on(small_capture, tmp_path):
    shots = [replace(shot, split="test" if shot.frame == 4 else "train") for shot in small_capture.shots]
    trained(replace(small_capture, shots=shots), tmp_path / "run", "static")
    assert {frame for _, frame in Run.open(tmp_path / "run").trained} == {0, 1, 2, 3}


def test_a_choice_without_views_is_refused(small_capture, tmp_path):
    for choice, told in (({"frames": []}, "No view"), ({"frames": [2, 7]}, "no frame 7"),
                         ({"cameras": ["cam09"]}, "no camera cam09")):
        with pytest.raises(ValueError, match=told):
            trained(small_capture, tmp_path / "run", **choice)
    assert not (tmp_path / "run").exists()


def test_the_mean_colour_is_of_trusted_pixels_of_the_training_views(small_capture, tmp_path):
    trained(small_capture, tmp_path / "run", "static", frames=[0])
    views = [view for view in small_capture.views(frames=[0], crop="body", size=64)]
    pixels = torch.cat([view.image.movedim(1, -1)[view.trusted()[:, 0]] for view in views])
    texture, mean = Run.open(tmp_path / "run").static()
    torch.testing.assert_close(mean, pixels.mean(0))
    assert texture.texels.std() > 0.05


# runs that were begun with something else


@pytest.mark.parametrize("choices, told", [
    ({"system": "deferred"}, "system.*anr there, deferred now"),
    ({"seed": 3}, "settings"),
    ({"config": TINY | {"width": 6}}, "settings"),
    ({"projection": "weak"}, "settings"),
    ({"frames": [0, 2]}, "training views"),
], ids=str)
def test_a_run_of_another_choice_is_refused_and_stays(choices, told, small_capture, whole, tmp_path):
    run = copied(whole[0], tmp_path)
    before = contents(run)
    with pytest.raises(ValueError, match=told):
        trained(small_capture, run, **choices)
    assert contents(run) == before


def test_what_is_not_a_run_is_refused_and_stays(small_capture, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/todo.txt").write_text("nothing")
    (tmp_path / "file").write_text("nothing")
    before = contents(tmp_path)
    for name in ("notes", "file"):
        with pytest.raises(ValueError, match=f"{name} holds something that is not a run"):
            trained(small_capture, tmp_path / name)
    assert contents(tmp_path) == before
    with pytest.raises(FileNotFoundError, match="no config.json.*python -m anr_core train"):
        load_avatar(tmp_path / "notes")


@pytest.mark.parametrize("length, told", [
    ({"steps": 0}, "steps is 0"), ({"steps": -4}, "steps is -4"), ({"steps": 3, "minutes": 1}, "both"),
    ({"steps": None, "minutes": 0}, "minutes is 0"), ({"config": {"depth": 3}}, "setting depth is unknown"),
    ({"system": "nerf"}, "'nerf' is unknown"), ({"preset": "huge"}, "'huge' is unknown"),
], ids=str)
def test_choices_that_cannot_be_are_refused_before_anything_is_written(length, told, small_capture, tmp_path):
    with pytest.raises(ValueError, match=told):
        trained(small_capture, tmp_path / "run", **length)
    assert not (tmp_path / "run").exists()


# moved, broken, full


def test_a_run_finds_its_capture_from_any_folder_and_moved_along(small_capture, tmp_path, monkeypatch):
    place = tmp_path / "here"
    shutil.copytree(small_capture.path, place / "capture")
    monkeypatch.chdir(place)
    trained("capture", "run", "static")
    monkeypatch.chdir(tmp_path)
    assert Run.open(place / "run").capture().path == place / "capture"
    place.rename(tmp_path / "there")
    assert Run.open("there/run").capture().path == tmp_path / "there/capture"
    assert load_avatar("there/run").body is not None
    shutil.rmtree(tmp_path / "there/capture")
    with pytest.raises(FileNotFoundError, match="not at .*here/capture any more.*--capture"):
        Run.open("there/run").capture()
    assert load_avatar("there/run").body is None


def halve(file):
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


@pytest.mark.parametrize("name, use", [
    ("config.json", lambda run, capture: load_avatar(run)),
    ("config.json", lambda run, capture: trained(capture, run)),
    ("checkpoint.safetensors", lambda run, capture: load_avatar(run)),
    ("static.safetensors", lambda run, capture: Run.open(run).static()),
    ("training.pt", lambda run, capture: trained(capture, run)),
])
def test_a_truncated_file_is_named_in_one_line_and_nothing_changes(name, use, small_capture, whole, tmp_path):
    run = copied(whole[0], tmp_path)
    halve(run / name)
    before = contents(run)
    with pytest.raises(ValueError, match=rf"{name} is broken") as told:
        use(run, small_capture)
    assert "\n" not in str(told.value) and contents(run) == before


def test_a_file_that_is_missing_is_named(whole, tmp_path):
    run = copied(whole[0], tmp_path)
    (run / "checkpoint.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint.safetensors.*train"):
        load_avatar(run)


@pytest.mark.parametrize("name, use", [
    ("checkpoint.safetensors", lambda run, capture: load_avatar(run)),
    ("static.safetensors", lambda run, capture: Run.open(run).static()),
    ("training.pt", lambda run, capture: trained(capture, run)),
])
def test_a_file_of_another_system_is_refused_in_one_line(name, use, small_capture, whole, deferred, tmp_path):
    run = copied(whole[0], tmp_path)
    other = deferred / (name if name != "static.safetensors" else "checkpoint.safetensors")
    shutil.copyfile(other, run / name)
    with pytest.raises(ValueError, match=rf"{name} .*(another run|own file)") as told:
        use(run, small_capture)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("faces", [lambda faces: faces[:, [1, 2, 0]], lambda faces: faces[:-2]],
                         ids=["as many faces", "fewer faces"])
def test_files_of_another_surface_are_refused_in_one_line(faces, small_capture, whole, tmp_path):
    shutil.copytree(small_capture.path, tmp_path / "capture")
    with np.load(small_capture.path / "body.npz") as arrays:
        body = dict(arrays)
    body["faces"] = faces(body["faces"])
    body |= {name: body[name][:len(body["faces"])] for name in ("uv_faces", "part")}
    np.savez(tmp_path / "capture/body.npz", **body)
    trained(load_capture(tmp_path / "capture"), tmp_path / "other", steps=1)
    run = copied(whole[0], tmp_path)
    for name in ("checkpoint.safetensors", "training.pt"):
        shutil.copyfile(tmp_path / "other" / name, run / name)
    with pytest.raises(ValueError, match="not the|are not|another run") as told:
        load_avatar(run)
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="not the|are not|another run") as told:
        trained(small_capture, run)
    assert "\n" not in str(told.value)


def test_a_disk_that_fills_up_leaves_the_old_files_whole(small_capture, tmp_path, monkeypatch, saving_always):
    run = tmp_path / "run"
    steps = train(small_capture, run, "deferred", steps=6, config=TINY)
    assert next(steps).step == 1
    before = contents(run)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="No space.*kept.*Make room") as told:
        patch.setattr(runs.os, "fsync", full)
        list(steps)
    assert "\n" not in str(told.value) and contents(run) == before
    assert trained(small_capture, run, "deferred", steps=6)[0].step == 2
    trained(small_capture, tmp_path / "whole", "deferred", steps=6)
    assert avatar_bytes(run) == avatar_bytes(tmp_path / "whole")


def test_a_disk_that_is_full_when_the_generator_is_closed_says_so(small_capture, tmp_path, monkeypatch):
    steps = train(small_capture, tmp_path / "run", "deferred", steps=6, config=TINY)
    next(steps)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="No space left"):
        patch.setattr(runs.os, "fsync", full)
        steps.close()


def test_two_processes_train_one_run(small_capture, tmp_path):
    """As torchrun starts them, here on CPUs: one of them writes and speaks, and both end at the same step."""
    settings, run = tmp_path / "tiny.json", tmp_path / "run"
    settings.write_text(json.dumps(TINY))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "anr_core",
               "train", str(small_capture.path), str(run), "--minutes", "0.02", "--config", str(settings)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is trained") == 1
    steps = logged_steps(run)
    assert steps and steps == sorted(set(steps))
    assert load_avatar(run).texture.levels[0].isfinite().all()


# half precision


@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_half_precision_moves_no_mesh(projection, tmp_path, monkeypatch):
    drawn = {}

    def remembered(avatar, scene, forward=Deferred.forward):
        camera = avatar.projected(scene.camera, scene.posed)
        drawn.setdefault(avatar.config.precision, (scene.posed.vertices, camera.K, camera.t))
        return forward(avatar, scene)

    capture = make_posed_capture(tmp_path / "capture", masked=True)
    monkeypatch.setattr(Deferred, "forward", remembered)
    for precision in ("32-true", "bf16-mixed"):
        trained(capture, tmp_path / precision, "deferred", 1, TINY | {"precision": precision},
                projection=projection)
    for exact, cast in zip(*drawn.values(), strict=True):
        assert torch.equal(exact, cast)
