"""An exported page under hands: sliders, drag, wheel, fingers, keys, motion, window; and left alone."""

import re

import imageio.v3 as imageio
import numpy as np
import pytest

from anr_core.export.handing import Wishes, hand_on
from tests.browser.paging import Runs, chromium, opened, pixels, settle, status, until
from tests.motion.made_up import bvh_text, walk


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    (folder / "walk.bvh").write_text(bvh_text(walk()))
    hand_on(Runs(folder)("anr")[0], folder / "me.html", Wishes(motion=folder / "walk.bvh"))
    with chromium() as browser, opened(browser, folder / "me.html") as page:
        assert page.evaluate("anr.learned")
        until(page, "anr.status().shows === 'learned'")
        yield page


@pytest.mark.parametrize("name, key, field", [
    ("azimuth", "ArrowRight", "azimuth"), ("elevation", "ArrowRight", "elevation"),
    ("distance", "ArrowLeft", "distance"), ("field of view", "ArrowRight", "field_of_view")])
def test_sliders_of_the_view_move_the_picture(name, key, field, page):
    before, seen = status(page)["view"], pixels(page)
    slider = page.get_by_role("slider", name=name, exact=True)
    slider.focus()
    for _ in range(6):
        page.keyboard.press(key)
    settle(page, seen)
    after = status(page)["view"]
    assert (after[field] > before[field]) == (key == "ArrowRight") and after[field] != before[field]
    assert {other: after[other] for other in after if other != field} == \
        {other: before[other] for other in before if other != field}


def test_sliders_of_joints_bend_the_person(page):
    page.locator("summary", has_text="Pose").click()
    page.locator("summary", has_text=re.compile("^arms$")).click()
    before, seen = status(page)["sliders"], pixels(page)
    page.get_by_role("slider", name="left elbow: bend").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    settle(page, seen)
    after = status(page)["sliders"]
    changed = {name for name in after if abs(after[name] - before[name]) > 0.5}
    assert changed == {"left elbow: bend"} and after["left elbow: bend"] > before["left elbow: bend"] + 10


def test_both_sides_bend_together_when_asked(page):
    page.get_by_label("both sides together").check()
    page.get_by_role("slider", name="left shoulder: raise").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("both sides together").uncheck()
    sliders = status(page)["sliders"]
    assert sliders["left shoulder: raise"] == pytest.approx(sliders["right shoulder: raise"], abs=0.01)


def test_dragging_orbits_and_the_wheel_comes_nearer(page):
    box, before, seen = page.locator("#picture").bounding_box(), status(page)["view"], pixels(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 20, steps=6)
    page.mouse.up()
    page.mouse.move(x - 40, y, steps=3)  # a hand that is off the button moves nothing
    page.mouse.wheel(0, -240)
    settle(page, seen)
    after = status(page)["view"]
    assert after["azimuth"] == pytest.approx(
        before["azimuth"] - 180 * 60 / min(box["width"], box["height"]), abs=0.1)
    assert after["elevation"] > before["elevation"] and after["distance"] < before["distance"]


def test_two_fingers_come_nearer_and_one_orbits(page):
    box, before = page.locator("#picture").bounding_box(), status(page)["view"]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hand = page.context.new_cdp_session(page)

    def touch(kind, *points):
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
            {"x": x + right, "y": y, "id": finger} for finger, right in enumerate(points)]})

    touch("touchStart", -50, 50)
    touch("touchMove", -90, 90)
    touch("touchEnd")
    nearer = status(page)["view"]
    assert nearer["distance"] < 0.8 * before["distance"] and nearer["azimuth"] == before["azimuth"]
    touch("touchStart", 0)
    touch("touchMove", 30)
    touch("touchEnd")
    assert status(page)["view"]["azimuth"] != nearer["azimuth"]


def test_keys_orbit_and_a_double_click_goes_home(page):
    page.locator("#picture").focus()
    before = status(page)["view"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    after = status(page)["view"]
    assert after["azimuth"] != before["azimuth"] and after["distance"] < before["distance"]
    page.locator("#picture").dblclick()
    assert status(page)["view"]["azimuth"] == 0


def test_the_motion_plays_and_rests(page):
    page.locator("#play").click()
    until(page, "anr.status().playing && anr.status().row > 0")
    rows = []
    for _ in range(4):
        page.wait_for_timeout(200)
        rows.append(status(page)["row"])
    assert len(set(rows)) == 4
    until(page, "anr.status().framesASecond > 0 && document.getElementById('status').textContent"
                ".includes('frames a second')")
    page.locator("#play").click()
    resting = status(page)["row"]
    page.wait_for_timeout(300)
    assert status(page)["row"] == resting and page.locator("#play").inner_text() == "Play"


def test_another_background_is_behind_the_person(page, tmp_path):
    seen = pixels(page)
    page.get_by_role("button", name="white").click()
    white = settle(page, seen)
    assert white[4:40, 4:40].min() > 250
    imageio.imwrite(tmp_path / "red.png", np.full((8, 8, 3), (200, 10, 10), np.uint8))
    page.locator("input[type=file]").set_input_files(tmp_path / "red.png")
    red = settle(page, white)
    assert np.abs(red[4:40, 4:40] - (200, 10, 10)).max() < 6


@pytest.mark.parametrize("width, height", [(600, 500), (420, 800), (1200, 500)])
def test_the_picture_fills_a_window_of_another_size(width, height, page):
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(100)
    page.evaluate("anr.set({ view: { azimuth: Math.random() } })")
    until(page, "(({ width, clientWidth }) => width === clientWidth)(document.getElementById('picture'))")
    page.wait_for_timeout(400)
    box, seen = page.locator("#picture").bounding_box(), pixels(page)
    person = np.abs(seen[:-30] - seen[2, 2]).max(-1) > 30  # without the line of the status
    rows, columns = person.any(1).nonzero()[0], person.any(0).nonzero()[0]
    assert rows[-1] - rows[0] > 0.5 * min(box["width"], box["height"])
    assert abs((columns[0] + columns[-1]) / 2 - box["width"] / 2) < 0.12 * box["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_page_left_alone_or_playing_holds_its_memory(page):
    heap = page.context.new_cdp_session(page)
    heap.send("HeapProfiler.enable")

    def used():
        heap.send("HeapProfiler.collectGarbage")
        return heap.send("Runtime.getHeapUsage")["usedSize"] / 1e6

    page.evaluate("anr.set({ playing: true })")
    page.wait_for_timeout(1500)
    before = used()
    page.wait_for_timeout(3000)
    page.evaluate("anr.set({ playing: false })")
    page.wait_for_timeout(1500)
    assert used() < before + 2


def test_nothing_was_asked_of_the_network_and_the_console_stayed_silent(page):
    assert page.errors == []
    assert not [address for address in page.asked if not address.startswith(("file:", "blob:", "data:"))]
