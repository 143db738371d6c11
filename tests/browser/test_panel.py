"""The notebooks in a real browser: what is shown is what sliders say, as a stamp in the picture proves."""

import json
import shutil
import time

import imageio.v3 as imageio
import nbformat
import numpy as np
import pytest

from anr_core.body.controls import GROUPS
from tests.browser.lab import WINDOW, ask, chromium_page, install_chromium, jupyterlab, run_all
from tests.notebooks.headless import ROOT, notebook

TINY = {"size": 96, "window": 64, "batch": 1, "texture_size": 64, "width": 4}
FILM = {"cameras": 3, "frames": 3, "size": 96, "fps": 1.0}


@pytest.fixture(scope="module")
def chromium():
    pytest.importorskip("playwright")
    found = install_chromium()
    if found is None:
        pytest.skip("no Chromium here, and apt could not install it: this is not root, or apt didn't answer")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkout's face: the package beside notebooks with small parameters."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    (folder / "anr_core").symlink_to(ROOT / "anr_core")
    shutil.copy(ROOT / "requirements.txt", folder)
    places = {"CONFIG": TINY, "MINUTES": 0.05, "STAMP": True}
    for name, parameters in {
            "00_quickstart": {"FOLDER": str(folder), "FILM": FILM},
            "03_interact": {"RUN": str(folder / "runs" / "subject0"),
                            "CAPTURE": str(folder / "captures" / "subject0")}}.items():
        nbformat.write(notebook(name, **places, **parameters), folder / "notebooks" / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def page(chromium, folder):
    """03_interact, open and run, after 00_quickstart has made its run."""
    with jupyterlab(folder) as address, chromium_page(chromium) as page:
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text else None)
        run_all(page, address, "notebooks/00_quickstart.ipynb", 240)
        quickstart = shown(page)
        run_all(page, address, "notebooks/03_interact.ipynb", 120)
        page.quickstart = quickstart
        yield page


def shown(page) -> int:
    return page.evaluate("window.__probe.last")


def wanted(page) -> int:
    """The stamp of the state that the kernel has now."""
    return int(ask(page, "from anr_core.viewer.drawing import stamp_of; print(stamp_of(panel.state))"))


def settle(page, before=None, seconds=30):
    """Wait until the state is another than before, the picture shows it, and both stay."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        now = ask(page, "print(panel.state.text())")
        if now == last and json.loads(now) != before and shown(page) == wanted(page):
            return
        last = now
        page.wait_for_timeout(100)
    raise AssertionError(f"the picture shows {shown(page)}, not {wanted(page)}; before {before}, now {last}")


def state(page) -> dict:
    return json.loads(ask(page, "print(panel.state.text())"))


def pixels(page) -> np.ndarray:
    """The picture below its stamp, as the browser shows it."""
    image = imageio.imread(page.locator(".jp-OutputArea img[src^='blob:']").first.screenshot())
    return image[image.shape[0] // 6:, :, :3].astype(int)


def open_tab(page, name):
    page.locator(".lm-TabBar-tabLabel, .p-TabBar-tabLabel").get_by_text(name, exact=True).last.click()


def slider(page, label):
    row = page.locator(".widget-hslider", has=page.locator(f"label:text-is('{label}')")).last
    return row.locator(".noUi-handle")


def press(page, label, key, times=1):
    handle = slider(page, label)
    handle.scroll_into_view_if_needed()
    handle.focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_both_notebooks_show_a_stamped_picture_without_errors(page):
    assert page.quickstart is not None
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    settle(page)
    assert pixels(page).std() > 5, "the picture is blank"
    assert page.errors == []


@pytest.mark.parametrize("label, name", [
    ("azimuth (°)", "azimuth"), ("elevation (°)", "elevation"), ("distance (cm)", "distance"),
    ("field of view (°)", "field_of_view")])
def test_arrow_keys_on_a_slider_of_the_view_move_the_picture(label, name, page):
    open_tab(page, "View")
    before, seen = state(page), pixels(page)
    press(page, label, "ArrowRight", 8)
    settle(page, before)
    assert state(page)["view"][name] > before["view"][name]
    assert np.abs(pixels(page) - seen).mean() > 0.3


@pytest.mark.parametrize("group, label", [("arms", "left elbow: bend"), ("legs", "right hip: forward"),
                                          ("spine", "waist: forward"), ("head", "head: turn left"),
                                          ("hands", "left fingers: curl")])
def test_sliders_of_every_group_bend_their_joints(group, label, page):
    open_tab(page, "Pose")
    fold = page.locator(".jupyter-widget-Collapse-header, .p-Collapse-header, .lm-Collapse-header") \
        .get_by_text(group, exact=True).last
    if slider(page, label).count() == 0 or not slider(page, label).is_visible():
        fold.click()
        slider(page, label).wait_for(state="visible")
    before, seen = state(page), pixels(page)
    press(page, label, "PageUp", 4)
    press(page, label, "ArrowRight", 12)
    settle(page, before)
    one, other = (np.array(record["pose"]["rotations"]) for record in (before, state(page)))
    moved = np.abs(other - one).max(1) > 0.02
    assert moved.any() and moved.sum() <= 12
    assert np.abs(pixels(page) - seen).max() > 1


def test_a_flood_of_moves_ends_on_the_last_one(page):
    open_tab(page, "View")
    press(page, "azimuth (°)", "Home")
    settle(page)
    before = state(page)
    press(page, "azimuth (°)", "ArrowRight", 120)
    started = time.monotonic()
    settle(page, before)
    print(f"settled {time.monotonic() - started:.2f} s after the last of 120 moves")
    assert state(page)["view"]["azimuth"] == pytest.approx(-180 + 2 * 120)


def test_what_python_sets_stays_as_it_was_set(page):
    """Sliders stand on whole numbers: a browser that rounds others would send them back."""
    ask(page, "panel.change_view(azimuth=12.34, distance=3.777)\npose = panel.parts['Pose']\n"
              "pose.choice.value = 'T-pose'\npose.sliders.widgets['left elbow: bend'].value = 50\n"
              "wanted = panel.state.text()")
    page.wait_for_timeout(1500)
    settle(page)
    before, after = (json.loads(text) for text in
                     ask(page, "print(wanted); print(panel.state.text())").splitlines())
    assert after == before


def test_dragging_on_the_picture_orbits(page):
    before = state(page)
    image = page.locator(".jp-OutputArea img[src^='blob:']").first
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=12)
    page.mouse.up()
    settle(page, before)
    assert state(page)["view"]["azimuth"] != before["view"]["azimuth"]


def test_another_background_is_shown(page):
    open_tab(page, "Looks")
    select = page.locator(".widget-dropdown", has=page.locator("label:text-is('background')")).last
    before = state(page)
    select.locator("select").select_option(label="white")
    settle(page, before)
    assert pixels(page)[-6:, :6].min() > 240


def test_a_video_is_saved_and_plays(page, folder):
    open_tab(page, "Save")
    ask(page, f"panel.parts['Save'].video.value = {str(folder / 'turn.mp4')!r}")
    page.get_by_role("button", name="save video").last.click()
    page.get_by_text("turn.mp4: 100 pictures").wait_for(timeout=120_000)
    assert imageio.imread(folder / "turn.mp4", plugin="FFMPEG").shape == (100, 96, 96, 3)
    page.wait_for_function("() => [...document.querySelectorAll('video')].some(video => video.duration > 3.5"
                           " && video.currentTime > 0.2)", timeout=20_000)


def open_group(page, group):
    title = page.locator(".jupyter-widget-Collapse-header, .p-Collapse-header, .lm-Collapse-header") \
        .get_by_text(group, exact=True).last
    if "open" not in (title.locator("xpath=ancestor-or-self::*[contains(@class, 'Collapse')]").last
                      .get_attribute("class") or ""):
        title.click()


# Words that don't fit where they stand, or stand outside of the panel.
CUT_OFF = """() => {
  const right = (element) => element.getBoundingClientRect().right;
  const panel = ".jupyter-widget-Collapse, .jupyter-widget-tab, .widget-tab";
  // the button that exports stands under the panel, in a cell of its own
  const around = (words) => words.closest(panel) ?? words.closest(".jp-OutputArea");
  return [...document.querySelectorAll(".widget-label, .widget-readout, .jupyter-button")]
    .filter((words) => words.offsetParent)
    .filter((words) => words.scrollWidth > words.clientWidth + 1 ||
                       right(words) > right(around(words)))
    .map((words) => words.innerText);
}"""


def test_nothing_is_cut_off_and_the_picture_stands_beside_the_sliders(page, folder):
    for tab in ("View", "Pose", "Motion", "Looks", "Save"):
        open_tab(page, tab)
        for group in GROUPS if tab == "Pose" else ("",):
            if group:
                open_group(page, group)
            page.wait_for_timeout(250)
            page.screenshot(path=folder / f"{tab}{group}.png")
            assert page.evaluate(CUT_OFF) == [], f"words are cut off under {tab} {group}"
        image = page.locator(".jp-OutputArea img[src^='blob:']").first.bounding_box()
        panel = page.locator(".jupyter-widget-tab, .widget-tab").last.bounding_box()
        assert image["x"] + image["width"] <= panel["x"] + 1
        assert panel["x"] + panel["width"] <= WINDOW["width"]
        assert panel["height"] <= 650


def test_the_console_stayed_silent(page):
    assert page.errors == []
