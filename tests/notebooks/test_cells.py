"""What the notebooks' cells call, without a kernel."""

import json
import os
import shutil
import sys
from types import SimpleNamespace

import pytest

from anr_core.avatars.run import VERSION
from anr_core.capture import load_capture
from anr_core.notebook import (
    ROOT,
    fetch_back,
    filmed,
    keep,
    keeping,
    numbers_of,
    opened,
    painted,
    runs_of,
    trained,
)
from anr_core.notebook.cells import HOLD_OUT, held_back
from anr_core.prepare.making import make_capture
from anr_core.training.record import Progress
from anr_core.viewer import watching
from anr_core.viewer.watching import Watching, curve, watch


def test_frames_that_were_not_painted_are_not_taken_for_painted_ones(small_capture, tmp_path):
    first, second = sorted({shot.frame for shot in small_capture.shots})[:2]
    out = painted(small_capture.path, tmp_path / "painted", [first])
    assert painted(small_capture.path, out, [first]) == out
    with pytest.raises(ValueError, match=f"not its frame {second}.*remove"):
        painted(small_capture.path, out, [first, second])
    with pytest.raises(ValueError, match="has no frame 999"):
        painted(small_capture.path, out, [999])
    with pytest.raises(ValueError, match="are no frames"):
        numbers_of("2, x")


def test_what_is_kept_is_a_whole_copy_and_only_what_changed_is_copied_again(tmp_path):
    here, there = tmp_path / "run", tmp_path / "drive" / "run"
    (here / "previews").mkdir(parents=True)
    (here / "config.json").write_text("one")
    (here / "previews" / "a.png").write_text("picture")
    keep(here, there)
    copied = os.stat(there / "previews" / "a.png").st_ino
    (here / "config.json").write_text("another")
    keep(here, there)
    assert (there / "config.json").read_text() == "another"
    assert os.stat(there / "previews" / "a.png").st_ino == copied
    assert not [file for file in there.rglob("*") if file.name.startswith(".")]


def test_what_was_kept_comes_back_where_nothing_is(tmp_path):
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "config.json").write_text("kept")
    fetch_back(tmp_path / "drive", tmp_path / "run")
    assert (tmp_path / "run" / "config.json").read_text() == "kept"
    (tmp_path / "run" / "config.json").write_text("newer")
    fetch_back(tmp_path / "drive", tmp_path / "run")
    assert (tmp_path / "run" / "config.json").read_text() == "newer"


def test_what_was_interrupted_on_its_way_back_is_no_folder_yet(tmp_path, monkeypatch):
    (tmp_path / "drive").mkdir()
    for name in ("a", "b"):
        (tmp_path / "drive" / name).write_text(name)
    with monkeypatch.context() as patch:
        copy = shutil.copy2
        patch.setattr(shutil, "copy2", lambda file, fresh: 1 / 0 if file.name == "b" else copy(file, fresh))
        with pytest.raises(ZeroDivisionError):
            fetch_back(tmp_path / "drive", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fetch_back(tmp_path / "drive", tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["a", "b"]


@pytest.mark.parametrize("hold_out, settings", [
    ("nothing more", {}), ("the last fifth of the frames", {"frames": [0, 1, 2, 3]}),
    ("one camera", {"cameras": ["cam01", "cam02"]})])
def test_what_is_held_out_is_not_trained(hold_out, settings, small_capture):
    assert held_back(small_capture, hold_out) == settings


def test_the_form_offers_what_can_be_held_out():
    assert json.dumps(HOLD_OUT) in (ROOT / "notebooks" / "02_train.py").read_text(encoding="utf-8")


def test_what_cannot_be_held_out_says_so(small_capture):
    with pytest.raises(ValueError, match="choose one of"):
        held_back(small_capture, "everything")
    with pytest.raises(ValueError, match="none can be held out"):
        held_back(small_capture.only(lambda shot: shot.camera == "cam01"), "one camera")


def test_a_capture_that_is_there_is_not_filmed_anew(small_capture, tmp_path, capsys):
    assert filmed(small_capture.path, subject=7) == small_capture.path
    assert capsys.readouterr().out == ""
    made = filmed(tmp_path / "drawn", subject=1, cameras=1, frames=1, size=32)
    assert "draws subject 1" in capsys.readouterr().out
    assert load_capture(made).person == "subject 1"


def test_of_several_people_nothing_more_is_held_out(small_capture, tmp_path):
    with pytest.raises(ValueError, match="Of several people one camera can't be held out"):
        trained(tmp_path / "run", [small_capture.path] * 2, hold_out="one camera")


def test_a_folder_that_is_not_there_is_not_kept(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run the cells above"):
        keep(tmp_path / "none", tmp_path / "drive")


def test_drive_is_refused_outside_of_colab():
    assert keeping("runs/mine", drive=False).as_posix() == "runs/mine"
    with pytest.raises(ValueError, match="Colab alone"):
        keeping("runs/mine", drive=True)


@pytest.mark.parametrize("folder", ["runs/mine", "/content/runs/mine"])
def test_a_folder_is_kept_on_drive_wherever_it_lies(folder, monkeypatch):
    mounting = SimpleNamespace(drive=SimpleNamespace(mount=lambda place: None))
    monkeypatch.setattr(sys.modules[keeping.__module__], "on_colab", lambda: True)
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace(colab=mounting))
    monkeypatch.setitem(sys.modules, "google.colab", mounting)
    assert str(keeping(folder, drive=True)).startswith("/content/drive/MyDrive/anr_core/")
    assert str(keeping(folder, drive=True)).endswith("runs/mine")


def test_a_capture_is_not_prepared_anew_out_of_its_pictures_alone(tmp_path, small_capture):
    with pytest.raises(ValueError, match="is a capture already"):
        make_capture(str(small_capture.path), tmp_path / "capture")


def test_no_run_is_found_where_there_is_none(tmp_path):
    assert runs_of(tmp_path / "capture", tmp_path) == {}


def test_a_link_that_leads_nowhere_is_no_reason_to_train(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("anr_core.capture.fetching.PAUSE", 0.0)
    with pytest.raises(ValueError, match="can't be downloaded"):
        opened("http://127.0.0.1:9/run.zip", tmp_path / "capture")


def test_an_archive_that_is_not_there_is_no_reason_to_train(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        opened(tmp_path / "run.zip", tmp_path / "capture")


def test_a_run_that_was_killed_at_its_beginning_is_gone_on_with(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"version": VERSION}))
    went_on = []
    monkeypatch.setattr(sys.modules[opened.__module__], "trained", lambda run, *_, **__: went_on.append(run))
    opened(tmp_path, "capture")
    (tmp_path / "checkpoint.safetensors").touch()
    assert opened(tmp_path, "capture") == tmp_path
    assert went_on == [tmp_path]


def steps(count, stop_at=None):
    for step in range(1, count + 1):
        if step == stop_at:
            raise KeyboardInterrupt
        yield Progress(step, "renderers", step / count, {"mse": 1 / step}, 10.0, float(count - step), None)


def test_a_training_is_watched_to_its_end_and_kept(capsys):
    kept = []
    assert watch(steps(5), lambda: kept.append(1)).step == 5
    assert kept == [1]


def test_a_training_that_is_done_says_so(monkeypatch):
    panels = []
    monkeypatch.setattr(watching, "Watching", lambda: panels.append(Watching()) or panels[0])
    assert watch(steps(0)) is None
    assert "nothing is left to learn" in panels[0].words.value and panels[0].bar.value == 1


def test_every_stage_has_its_own_curve():
    panel = Watching()
    for stage, loss in (("conditions", 0.01), ("conditions", 0.01), ("renderers", 9.0), ("renderers", 1.0)):
        panel.show(Progress(1, stage, 0.5, {"mse": loss}, 10.0, 1.0, None))
    assert panel.curve.value == curve([9.0, 1.0])


def test_interrupting_keeps_what_there_is():
    kept = []
    assert watch(steps(5, stop_at=4), lambda: kept.append(1)).step == 3
    assert kept == [1]


def test_the_curve_falls_with_the_losses():
    points = curve([1.0, 0.5, 0.1]).split('points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights)  # an SVG counts from above
