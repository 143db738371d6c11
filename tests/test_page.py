"""The page of a run: there for every system, with what there is to see, and of nothing else."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from anr_core.avatars.static import StaticTexture
from anr_core.prepare import prepare
from anr_core.training import page as pages
from anr_core.training import previews, train
from anr_core.training.chart import chart
from anr_core.training.page import MOST, Page, Row, read_rows, thinned
from tests.avatars.test_dynamic_texture import TINY as DYNAMIC
from tests.avatars.test_gaussian import TINY as FEW_BONES
from tests.posed_capture import make_posed_capture
from tests.small_pairs import write_pairs

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
OF_MESHES = ["truth", "result", "foreground", "background", "mask", "parts", "UV"]


class Reader(HTMLParser):
    """What a browser makes of a page: its addresses, captions and words; tags close as they were opened."""

    EMPTY = "meta", "img", "col", "br", "link"

    def __init__(self, run):
        super().__init__()
        self.open, self.addresses, self.captions, self.words, self.meta = [], [], [], [], []
        self.feed((run / "index.html").read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe")
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        self.meta += [attributes] if tag == "meta" else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)

    @property
    def again(self):
        return any(one.get("http-equiv") == "refresh" for one in self.meta)


def trained(capture, run, system="anr", steps=3, config=TINY):
    list(train(capture, run, system, steps=steps, config=config))
    return Reader(run)


def check_whole(run):
    """All that the page names is there in the run, and all pictures in its folder are named."""
    read = Reader(run)
    assert read.addresses and all(re.fullmatch(r"page/[a-z0-9-]+\.jpg", name) for name in read.addresses)
    assert {run / name for name in read.addresses} == set((run / "page").glob("*.jpg"))
    for name in read.addresses:
        with Image.open(run / name) as image:
            assert max(image.size) <= 512
    return read


@pytest.fixture
def looking_always(monkeypatch):
    for wait in ("FIRST_PREVIEW", "PREVIEWS"):
        monkeypatch.setattr(previews, wait, 0)


# what is there


@pytest.mark.parametrize("system, steps", [
    ("static", [*OF_MESHES, "normals", "depth", "atlas"]),
    ("deferred", [*OF_MESHES, "texture", "features", "normals", "depth", "atlas"]),
    ("anr", [*OF_MESHES, "texture", "features", "latent", "normals", "depth", "atlas"]),
    ("smplpix", [*OF_MESHES, "texture", "normals", "depth", "atlas"])])
def test_every_run_has_a_page_of_what_its_system_has_to_show(system, steps, small_capture, tmp_path):
    read = trained(small_capture, tmp_path / "run", system)
    assert read.captions == steps
    assert not read.again and "trained" in " ".join(read.words)
    check_whole(tmp_path / "run")


def test_a_system_without_a_mesh_has_a_page(tmp_path):
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    read = trained(capture, tmp_path / "run", "gaussian", 2, FEW_BONES)
    assert read.captions[:3] == ["truth", "result", "mask"]  # it has no background
    assert {"source", "skeleton", "primitives", "latent"} <= set(read.captions)
    check_whole(tmp_path / "run")


def test_a_dynamic_texture_s_page_shows_its_way_over_the_training(tmp_path, looking_always):
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    read = trained(capture, tmp_path / "run", "dynamic-texture", 9, DYNAMIC)
    assert read.captions == [*OF_MESHES[:5], "skeleton", "parts", "UV", "texture", "features",
                             "texture parts", "background of front", "background of side"]
    rows = read_rows(tmp_path / "run")
    assert [row.stage for row in rows if row.step in (1, 4, 9)] == ["labels", "static", "dynamic"]
    assert len(rows) == 9 and all([caption for caption, _ in row.people[0]] == read.captions for row in rows)
    check_whole(tmp_path / "run")


def test_pairs_of_pictures_have_a_page(tmp_path):
    pairs = prepare(write_pairs(tmp_path / "source"), tmp_path / "capture")
    read = trained(pairs, tmp_path / "run", "smplpix", 2, {"window": 32, "batch": 1, "width": 4})
    assert read.captions == ["truth", "result", "mask", "input"]
    check_whole(tmp_path / "run")


def test_several_people_stand_on_one_page_under_their_names(small_capture, tmp_path):
    other = replace(small_capture, person="another one")
    read = trained([small_capture, other], tmp_path / "run", steps=2)
    check_whole(tmp_path / "run")
    assert read.captions.count("truth") == 2
    assert {"another one", small_capture.person} <= set(read.words)


def test_it_tells_settings_licence_losses_and_how_far_it_is(small_capture, tmp_path):
    text = " ".join(trained(small_capture, tmp_path / "run", steps=3).words)
    assert re.search(r"Step 3, 100 %, stage renderers, 0\.\d minutes", text)
    assert "texture_size 64" in text and f"Licence of the capture: {small_capture.licence or 'not'}" in text
    assert "mse" in text and "all together" in text
    count = len(small_capture.split("train").shots)
    assert f"{count} pictures of 3 cameras and {count // 3} frames" in text


def test_what_somebody_has_named_is_shown_as_it_is_written(small_capture, tmp_path):
    named = replace(small_capture, person='<b onload="x">Ann & Bob</b>', licence="<script>CC0</script>")
    read = trained(named, tmp_path / "<i>run", "static")
    words = " ".join(read.words)
    assert named.person in words and named.licence in words and "<i>run" in words


def test_what_an_avatar_has_learned_of_the_background_is_shown(small_capture, tmp_path, monkeypatch):
    monkeypatch.setattr(StaticTexture, "background", lambda self, name: torch.ones(1, 3, 8, 8))
    trained(small_capture, tmp_path / "run", "static")
    shown = Image.open(next((tmp_path / "run" / "page").glob("*background.jpg")))
    assert shown.getpixel((32, 20)) == (255, 255, 255)


# over a training


def test_rows_are_kept_evenly_and_files_of_others_go(small_capture, tmp_path, monkeypatch, looking_always):
    monkeypatch.setattr(pages, "MOST", 4)
    run = tmp_path / "run"
    for _ in train(small_capture, run, "deferred", steps=9, config=TINY):
        check_whole(run)
        assert len(read_rows(run)) <= 4
    steps = [row.step for row in read_rows(run)]
    assert steps[0] == 1 and steps[-1] == 9 and len(steps) == 4
    assert {int(file.name[:7]) for file in (run / "page").glob("*.jpg")} == set(steps)


def test_thinning_keeps_first_and_last_and_no_gap_much_larger_than_others():
    rows = []
    for step in range(1, 200):
        rows = thinned([*rows, Row(step, "all", 0, [])], MOST)
        steps = [row.step for row in rows]
        gaps = [after - before for before, after in zip(steps, steps[1:], strict=False)]
        assert steps[0] == 1 and steps[-1] == step and len(rows) <= MOST
        assert not gaps or max(gaps) <= 4 * min(gaps[:-1] or gaps)


def test_it_is_looked_at_again_only_while_the_training_goes_on(small_capture, tmp_path, looking_always):
    run = tmp_path / "run"
    steps = train(small_capture, run, "deferred", steps=4, config=TINY)
    next(steps), next(steps)
    assert Reader(run).again and "is being trained" in " ".join(Reader(run).words)
    steps.close()
    assert not Reader(run).again and "stopped" in " ".join(Reader(run).words)
    read = trained(small_capture, run, "deferred", steps=4)
    assert not read.again and len(read_rows(run)) == 4


def test_what_came_after_the_step_that_a_run_goes_on_from_is_forgotten(small_capture, tmp_path,
                                                                       looking_always):
    run = tmp_path / "run"
    steps = train(small_capture, run, "deferred", steps=6, config=TINY)
    next(steps), next(steps)
    steps.close()
    later = [*read_rows(run), Row(5, "all", 1.0, [[["truth", "0000005-0-truth.jpg"]]])]
    (run / "page" / "rows.json").write_text(json.dumps([vars(row) for row in later]))
    (run / "page" / "0000005-0-truth.jpg").write_bytes(b"half a pict")
    steps = train(small_capture, run, "deferred", steps=6, config=TINY)
    assert next(steps).step == 3
    assert [row.step for row in read_rows(run)] == [1, 2, 3]
    steps.close()
    check_whole(run)


def test_rows_that_nobody_can_read_are_drawn_anew(small_capture, tmp_path):
    run = tmp_path / "run"
    trained(small_capture, run, "static")
    for text in ("[{", '[{"step": 1}]', "[1]", "{}"):
        (run / "page" / "rows.json").write_text(text)
        trained(small_capture, run, "static")
        check_whole(run)


def test_a_run_from_before_there_were_pages_gets_one(small_capture, tmp_path):
    run = tmp_path / "run"
    trained(small_capture, run, "deferred")
    shutil.rmtree(run / "page")
    (run / "index.html").unlink()
    trained(small_capture, run, "deferred")
    assert "foreground" in check_whole(run).captions


def test_the_avatar_is_the_same_whether_its_page_is_written_or_not(small_capture, tmp_path, monkeypatch,
                                                                  looking_always):
    trained(small_capture, tmp_path / "run", steps=6)
    with monkeypatch.context() as patch:
        patch.setattr(Page, "add", lambda *_: None)
        patch.setattr(previews, "PREVIEWS", 1e9)
        list(train(small_capture, tmp_path / "plain", steps=6, config=TINY))
    names = "checkpoint.safetensors", "static.safetensors"
    assert all(Path(tmp_path, "run", name).read_bytes() == Path(tmp_path, "plain", name).read_bytes()
               for name in names)


# the chart


def test_losses_become_lines_one_a_stage_under_their_names():
    lines = [{"step": step, "stage": "first" if step < 30 else "<second>", "a<b": 10.0**-(step // 10),
              "images_per_second": 5.0} for step in range(0, 60, 5)]
    drawn = chart(lines)
    assert drawn.count("<polyline") == 4 and "a&lt;b" in drawn and "&lt;second&gt;" in drawn
    numbers = [float(number) for points in re.findall('points="([^"]*)"', drawn)
               for number in re.findall(r"[\d.]+", points)]
    assert min(numbers) >= 0 and max(numbers) <= 960
    assert "images" not in drawn


@pytest.mark.parametrize("losses", [{}, {"a": 0.0}, {"a": -1.0}])
def test_no_loss_is_no_chart(losses):
    assert chart([{"step": 1, "stage": "all"} | losses]) == "" and chart([]) == ""


def test_one_step_and_very_many_are_a_chart():
    assert "<polyline" in chart([{"step": 7, "stage": "all", "a": 1.0}])
    drawn = chart([{"step": step, "stage": "all", "a": 1.0 + step % 3} for step in range(20_000)])
    assert len(drawn) < 20_000
