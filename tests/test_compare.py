"""A comparison of systems: what it writes, that it goes on, and that one failure doesn't lose the rest."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anr_core.avatars.run import Run, read_tensors
from anr_core.capture import load_capture
from anr_core.evaluation import comparison, curves, side_by_side
from benchmarks import compare, entry, machine

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

ROOT = Path(__file__).resolve().parents[1]
TINY = {"size": 48, "window": 32, "batch": 1, "texture_size": 32, "width": 4}
SETTINGS = {system: TINY for system in ("static", "deferred", "anr")}
COMMAND = "python -m benchmarks.compare A B --steps 6"
GIVEN = {"steps": 6, "size": 48, "settings": SETTINGS, "command": COMMAND}


@pytest.fixture(scope="module")
def capture(small_capture, tmp_path_factory):
    """Read only: the small one, of which a camera and the last frame are held out."""
    folder = shutil.copytree(small_capture.path, tmp_path_factory.mktemp("compared") / "capture")
    saved = json.loads((folder / "capture.json").read_text())
    splits = {(True, False): "novel_view", (False, True): "novel_pose", (False, False): "train"}
    for shot in saved["shots"]:
        shot["split"] = splits.get((shot["camera"] == "cam03", shot["frame"] == 4))
    saved["shots"] = [shot for shot in saved["shots"] if shot["split"]]
    (folder / "capture.json").write_text(json.dumps(saved))
    return load_capture(folder).path


def at_once(done):
    """Works in this process, which are noted; what fails says why."""
    def work(name, folder):
        done.append((folder.name, name))
        try:
            entry.write_json(folder / f"{name}.json", entry.WORKS[name](entry.Entry.read(folder), folder))
        except Exception as error:
            return str(error)

    return work


@pytest.fixture
def here(monkeypatch):
    """What was done, in order; in this process, so that a test is quick."""
    done = []
    monkeypatch.setattr(compare, "done_apart", at_once(done))
    monkeypatch.setattr(entry, "DRAWN", 1)
    return done


@pytest.fixture(scope="module")
def whole(capture, tmp_path_factory):
    """A comparison of three systems, one of which can't be trained, and what was found."""
    out, done = tmp_path_factory.mktemp("comparison"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "done_apart", at_once(done))
        patch.setattr(entry, "DRAWN", 1)
        settings = SETTINGS | {"anr": {"width": "wide"}}
        found = compare.compare(capture, out, ["static", "anr", "deferred"], curves=True,
                                **GIVEN | {"settings": settings})
    return out, found, done


def test_every_system_is_trained_judged_and_timed(whole):
    out, found, done = whole
    works = ["train", "evaluate", "draw", "curve"]
    assert done == [*(("static-0", work) for work in works), ("anr-0", "train"),
                    *(("deferred-0", work) for work in works)]
    assert json.loads((out / "compare.json").read_text()) == found
    assert set(found["table"]) == {"novel_view", "novel_pose"}
    for protocols in found["table"].values():
        assert set(protocols) == {"whole", "neuralbody", "inside"} == set(found["protocols"])
        for rows in protocols.values():
            assert set(rows) == {"static", "deferred"}
            for figure in ("psnr", "flip", "mask_iou"):  # no window of SSIM lies in so few pixels
                assert rows["deferred"][figure]["seeds"] == 1 and rows["deferred"][figure]["spread"] is None
    costs = found["costs"]["deferred"]
    assert costs["steps"]["mean"] == 6 and costs["gpu_peak_mib"] is None
    for cost in ("minutes", "wall_minutes", "frames_a_second", "megabytes", "parameters", "peak_mib"):
        assert costs[cost]["mean"] > 0
    assert found["costs"]["static"]["steps"]["mean"] == 0
    assert found["capture"]["trained"] == {"pictures": 8, "cameras": 2, "frames": 4}
    assert found["capture"]["judged"] == {"novel_view": 2, "novel_pose": 2}


def test_a_system_that_fails_is_said_and_loses_nothing_of_the_others(whole):
    out, found, _ = whole
    assert "anr" not in found["table"]["novel_view"]["inside"]
    assert list(found["entries"]["anr"]["0"]) == ["failed"]
    page = (out / "compare.md").read_text()
    assert "- `anr`, seed 0, train: " in page.split("## What failed")[1]
    assert "| deferred |" in page


def test_the_page_says_command_budget_machine_and_protocols(whole):
    out, found, _ = whole
    page = (out / "compare.md").read_text()
    assert page.splitlines()[2] == "    python -m benchmarks.compare A B --steps 6"
    for said in ("every system with 6 steps", "seed 0", found["machine"]["cpu"], f"torch {torch.__version__}",
                 "the same 8 pictures of 2 cameras and 4 frames", "## `neuralbody`, version 1",
                 "### novel_pose, 2 pictures", "data range: 1", "LPIPS: ", "test poses: not optimised"):
        assert said in page, said


def test_figures_are_those_that_evaluate_writes(whole):
    out, found, _ = whole
    written = json.loads((out / "deferred-0" / "figures.json").read_text())
    assert found["table"]["novel_view"]["inside"]["deferred"]["psnr"]["mean"] == \
        written["novel_view"]["inside"]["deferred"]["psnr"]
    assert json.loads((out / "deferred-0" / "figures.protocols.json").read_text()) == found["protocols"]


def test_a_curve_begins_early_and_ends_at_the_end(whole):
    out, found, _ = whole
    curve = found["entries"]["deferred"]["0"]["curve"]
    assert [one["step"] for one in curve] == [1, 2, 3, 5, 6] and curve[-1]["share"] == 1
    assert [one["seconds"] for one in curve] == sorted(one["seconds"] for one in curve)
    assert curve[-1]["seconds"] == found["entries"]["deferred"]["0"]["train"]["seconds"]
    assert curve[0]["figures"]["novel_view"]["inside"]["psnr"] != \
        curve[-1]["figures"]["novel_view"]["inside"]["psnr"]
    last = read_tensors(out / "deferred-0" / "kept" / "0000006.safetensors")
    saved = read_tensors(out / "deferred-0" / "run" / "checkpoint.safetensors")
    assert all(torch.equal(last[name], saved[name]) for name in saved)
    # both views of each split are in the curve, so its end is what was judged
    assert curve[-1]["figures"]["novel_pose"]["neuralbody"]["psnr"] == pytest.approx(
        found["table"]["novel_pose"]["neuralbody"]["deferred"]["psnr"]["mean"])
    assert (out / "curves.png").is_file() and curves.draw_curves(found | {"entries": {}}) is None


def test_the_same_views_stand_side_by_side(whole):
    out, *_ = whole
    folders = {system: out / f"{system}-0" / "pictures" for system in ("static", "deferred")}
    rows = side_by_side.rows_of_files(folders)
    assert list(rows) == ["novel_view cam03 0", "novel_view cam03 2", "novel_pose cam01 4",
                          "novel_pose cam02 4"]
    for row in rows.values():
        assert list(row) == ["truth", "static", "deferred"]
        assert all(picture.shape == (48, 48, 3) for picture in row.values())
    assert (out / "pictures.jpg").is_file() and side_by_side.sheet_of({}) is None


def test_runs_alone_give_the_same_pictures(whole):
    names = ("static", "deferred")
    rows = side_by_side.rows_of_files({name: whole[0] / f"{name}-0" / "pictures" for name in names})
    runs = {name: Run.open(whole[0] / f"{name}-0" / "run") for name in names}
    drawn = side_by_side.rows_of_runs(runs, 2, 48)
    assert list(drawn) == list(rows)
    for name, row in rows.items():
        assert list(drawn[name]) == list(row)
        assert all((drawn[name][who] == picture).all() for who, picture in row.items())


def test_runs_of_other_frames_stand_side_by_side_in_views_that_none_was_trained_on(whole):
    runs = {name: Run.open(whole[0] / f"{name}-0" / "run") for name in ("static", "deferred")}
    runs["deferred"] = replace(runs["deferred"], trained=[("cam03", 0), ("cam01", 4)])
    assert list(side_by_side.rows_of_runs(runs, 2, 48)) == ["novel_view cam03 2", "novel_pose cam02 4"]
    every = [(shot.camera, shot.frame) for shot in runs["static"].capture().shots]
    runs["deferred"] = replace(runs["deferred"], trained=every)
    assert side_by_side.rows_of_runs(runs, 2, 48) == {}


def test_what_is_done_is_not_done_again_and_what_failed_is(whole, capture, here, tmp_path):
    out = shutil.copytree(whole[0], tmp_path / "out")
    settings = {name: value for name, value in SETTINGS.items() if name != "anr"} | {"anr": {"width": "wide"}}
    again = compare.compare(capture, out, ["static", "anr", "deferred"], curves=True,
                            **GIVEN | {"settings": settings})
    assert here == [("anr-0", "train")]
    assert again["table"] == whole[1]["table"]


def test_another_system_joins_those_that_are_there(whole, capture, here, tmp_path):
    out = shutil.copytree(whole[0], tmp_path / "out")
    again = compare.compare(capture, out, ["static"], **GIVEN | {"command": "another"})
    assert not here and set(again["table"]["novel_view"]["inside"]) == {"static", "deferred"}
    assert list(again["entries"]["anr"]["0"]["failed"]) == ["train"]
    page = (out / "compare.md").read_text()
    assert page.splitlines()[2:4] == [f"    {COMMAND}", "    another"] and "| deferred |" in page
    with pytest.raises(ValueError, match="-0 was begun with something else .steps 6 there, 7 now"):
        compare.compare(capture, out, ["smplpix"], **GIVEN | {"steps": 7})


def test_what_another_machine_has_made_is_told(whole, capture, here, tmp_path):
    out = shutil.copytree(whole[0], tmp_path / "out")
    assert comparison.elsewhere(whole[1]) == []
    file = out / "static-0" / "train.json"
    train = json.loads(file.read_text())
    train["made"]["machine"]["cpu"], train["made"]["date"] = "an abacus", "2026-01-02"
    file.write_text(json.dumps(train))
    found = compare.compare(capture, out, ["static"], **GIVEN)
    assert comparison.elsewhere(found) == ["Made on 2026-01-02, with cpu an abacus: train of `static`, seed "
                                           "0."]
    page = (out / "compare.md").read_text()
    assert "an abacus" in page and f"2026-01-02 to {found['date']}, on {found['machine']['cpu']}" in page


def test_a_capture_that_was_moved_is_followed(whole, capture, here, tmp_path):
    out, moved = shutil.copytree(whole[0], tmp_path / "out"), shutil.copytree(capture, tmp_path / "moved")
    (out / "static-0" / "evaluate.json").unlink()
    found = compare.compare(moved, out, ["static"], **GIVEN)
    assert here == [("static-0", "evaluate")] and not found["entries"]["static"]["0"].get("failed")
    assert Run.open(out / "static-0" / "run").capture().path == moved


@pytest.mark.parametrize("text, told", [
    (None, "does not exist"), ("{", "is no valid JSON"), ("[1]", "holds a list"),
    ('{"width": 24}', "'width': 24, but wants a system"), ('{"avatar": {"width": 24}}', "wants a system"),
    ('{"anr": {"wings": 2}}', "setting wings is unknown"), ('{"anr": {"seed": 2}}', "sets seed of anr")])
def test_settings_that_cannot_be_used_are_refused_in_one_line(text, told, capture, tmp_path, monkeypatch,
                                                              capsys):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    monkeypatch.setattr(sys, "argv", ["compare", str(capture), str(tmp_path / "out"), "--steps", "6",
                                      "--config", str(tmp_path / "config.json")])
    with pytest.raises(SystemExit) as left:
        compare.main()
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.count("\n") == 1 and told in said
    assert not (tmp_path / "out").exists()


def test_memory_that_nobody_tells_is_left_out(whole, monkeypatch):
    monkeypatch.delattr(machine.os, "sysconf")
    assert machine.memory() is None
    page = comparison.markdown(whole[1] | {"machine": machine.machine()})
    assert " cores, no GPU; " in page or " cores; " in page


def test_another_budget_in_the_same_folder_is_refused(whole, capture):
    with pytest.raises(ValueError, match="steps 6 there, 7 now.*another folder"):
        compare.compare(capture, whole[0], ["static"], **GIVEN | {"steps": 7})


def test_a_training_that_was_stopped_goes_on_to_the_same_bytes_and_keeps_what_is_due(capture, tmp_path,
                                                                                     monkeypatch):
    made = entry.Entry(str(capture), "deferred", "quick", 0, 6, None, 48, TINY)
    keep = entry.keep
    for name in ("stopped", "whole"):
        made.write(tmp_path / name)

    def stops(folder, step, avatar):
        if step == 3:
            raise KeyboardInterrupt
        keep(folder, step, avatar)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(entry, "keep", stops)
        entry.train_entry(made, tmp_path / "stopped")
    found = [entry.train_entry(made, tmp_path / name) for name in ("stopped", "whole")]
    kept = [[one["step"] for one in entry.read_json(tmp_path / name / "notes.json")["kept"]]
            for name in ("stopped", "whole")]
    assert kept == [[1, 2, 4, 5, 6], [1, 2, 3, 5, 6]]
    assert found[0]["steps"] == found[1]["steps"] == 6
    one, other = ((tmp_path / name / "run" / "checkpoint.safetensors").read_bytes()
                  for name in ("stopped", "whole"))
    assert one == other


def test_means_and_spreads_by_hand():
    """20, 22, 24: mean 22, deviations -2, 0, 2, and (4 + 0 + 4) / 2 = 4, whose root is 2."""
    assert comparison.summary([20.0, None, 22.0, 24.0]) == {"mean": 22.0, "spread": 2.0, "seeds": 3}
    assert comparison.summary([5.0]) == {"mean": 5.0, "spread": None, "seeds": 1}
    assert comparison.summary([None]) is None
    assert comparison.shown(comparison.summary([1.0, 2.0]), 2) == "1.50 ± 0.71"
    assert comparison.shown(None, 2) == "n/a"


def test_the_best_of_each_column_is_bold_whether_more_or_less_is_better():
    rows = {name: {figure: comparison.summary([value]) for figure, value in
                   (("psnr", psnr), ("ssim", None), ("ssim_range_1", None), ("lpips", None), ("flip", flip),
                    ("flicker", None), ("mask_iou", 0.5))} for name, psnr, flip in
            (("one", 20.0, 0.1), ("other", 21.0, 0.2))}
    heads, cells = comparison.figures_of(rows)
    assert heads == ["system", "PSNR (dB)", "LPIPS", "FLIP", "mask IoU"]  # what nobody has is left out
    assert cells == [["one", "20.00", "n/a", "**0.100**", "**0.500**"],
                     ["other", "**21.00**", "n/a", "0.200", "**0.500**"]]


@pytest.mark.parametrize("given, told", [
    ({"systems": ["avatar"], "steps": 1}, "'avatar' is unknown"),
    ({"steps": 1, "minutes": 1.0}, "one of both"), ({}, "one of both")])
def test_a_mistake_is_told_before_anything_is_trained(given, told, capture, tmp_path, here):
    with pytest.raises(ValueError, match=told):
        compare.compare(capture, tmp_path / "out", **given)
    assert not here and not (tmp_path / "out").exists()


def test_a_folder_that_is_no_comparison_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m benchmarks.compare"):
        comparison.read_comparison(tmp_path)


@pytest.mark.slow
def test_a_comparison_that_is_killed_goes_on_and_every_work_has_a_process_of_its_own(capture, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "benchmarks.compare", str(capture), str(tmp_path / "out"),
               "--steps", "6", "--size", "48", "--systems", "static,anr",
               "--config", str(tmp_path / "config.json")]
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "out" / "static-0" / "train.json").is_file() and killed.poll() is None:
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = (tmp_path / "out" / "static-0" / "train.json").stat().st_mtime_ns
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "## `inside`, version 1" in done.stdout and "| anr |" in done.stdout
    assert (tmp_path / "out" / "static-0" / "train.json").stat().st_mtime_ns == before
    found = comparison.read_comparison(tmp_path / "out")
    assert found["command"].startswith("python -m benchmarks.compare")
    entry_of = found["entries"]["anr"]["0"]
    assert entry_of["draw"]["peak_mib"] != entry_of["evaluate"]["peak_mib"]
