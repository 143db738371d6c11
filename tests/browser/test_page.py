"""An exported page in a real browser, from disk and without a network: it draws what the avatar draws."""

import contextlib
import io
import math
import re
import time

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from anr_core.avatars import Scene
from anr_core.avatars.run import Run, write_tensors
from anr_core.body.controls import arms_at
from anr_core.camera import Camera, orbit
from anr_core.export.handing import Wishes, hand_on
from anr_core.training import train
from tests.browser.lab import FLAGS, install_chromium
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture

SIZE = 96
TINY = {"size": SIZE, "window": 64, "batch": 1, "texture_size": 64, "width": 6, "levels": 2}
UP = torch.tensor([0.0, 0.0, 1.0])

# What the page says of itself from its beginning, one line after the other.
SAID = """
window.said = [];
document.addEventListener("DOMContentLoaded", () => {
  const status = document.getElementById("status");
  const tell = () => { if (window.said.at(-1) !== status.textContent) window.said.push(status.textContent); };
  tell();
  new MutationObserver(tell).observe(status, { childList: true });
});
"""


@pytest.fixture(scope="module")
def chromium():
    pytest.importorskip("playwright")
    pytest.importorskip("onnx")
    found = install_chromium()
    if found is None:
        pytest.skip("no Chromium here, and apt could not install it: this is not root, or apt didn't answer")
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run whose networks, light and offsets do something, as training would have them do: (run, avatar)."""
    folder, made = tmp_path_factory.mktemp("page"), {}
    capture = make_posed_capture(folder / "capture", masked=True)

    def of(system, **changes):
        name = "-".join((system, *map(str, changes.values())))
        if name not in made:
            list(train(capture, folder / name, system, steps=1, config=TINY | changes))
            run = Run.open(folder / name)
            avatar = run.avatar()
            _stir(run, avatar)
            made[name] = run, avatar
        return made[name]

    return of


def _stir(run, avatar):
    """Give what one step leaves at nothing, or grey, values that are seen in the picture."""
    random = torch.Generator().manual_seed(7)
    spread = {"levels": 0.1, "light": 0.1, "leave": 0.08 if run.config.system == "anr" else 0.4,
              "displacement": 0.006, "texels": 0.2}
    static = run.static()[0]
    for person, file in ((avatar, "checkpoint"), (static, "static")):
        tensors = person.state_dict()
        for name, value in tensors.items():
            for part in spread.keys() & set(name.split(".")):
                value += spread[part] * torch.randn(value.shape, generator=random)
        if person is static:
            tensors |= {"texels": static.texels.clamp_(0, 1), "mean": run.static()[1]}
        write_tensors(run.path / f"{file}.safetensors", tensors)


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    flags = [flag for flag in FLAGS if flag != "--disable-gpu"]  # which takes WebGL by software away, too
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, file):
    """A page from disk, without a network; it collects what the console and requests say."""
    context = browser.new_context(viewport={"width": 900, "height": 600}, offline=True, has_touch=True)
    page = context.new_page()
    page.errors, page.asked = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text)
            if message.type == "error" else None)
    page.on("request", lambda request: page.asked.append(request.url[:60]))
    page.add_init_script(SAID)
    page.goto(f"file://{file}", wait_until="commit")
    until(page, "!!window.anr")
    yield page
    context.close()


def until(page, what, seconds=60):
    """Wait for a condition; the page's own rules forbid what playwright waits with."""
    end = time.monotonic() + seconds
    while not page.evaluate(what):
        if time.monotonic() > end:
            raise AssertionError(f"never came true: {what}; the page says {page.evaluate('window.said')}")
        page.wait_for_timeout(30)


@pytest.fixture(scope="module")
def page(browser, runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    (folder / "walk.bvh").write_text(bvh_text(walk()))
    hand_on(runs("anr")[0], folder / "me.html", Wishes(motion=folder / "walk.bvh"))
    with opened(browser, folder / "me.html") as page:
        assert page.evaluate("anr.learned")
        until(page, "anr.status().shows === 'learned'")
        yield page


def status(page):
    return page.evaluate("anr.status()")


def settle(page, before, seconds=30):
    """Wait until the canvas shows something else, and stays so."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        now = pixels(page)
        if last is not None and np.array_equal(now, last) and not np.array_equal(now, before):
            return now
        last = now
        page.wait_for_timeout(150)
    raise AssertionError("the picture stayed as it was, or never came to rest")


def pixels(page):
    return imageio.imread(io.BytesIO(page.locator("#stage").screenshot()))[..., :3].astype(int)


def views(body, count=10):
    """Poses and cameras around: cut off by the picture's edge, near, from above, with skew."""
    rest, random = body.rest_pose(), torch.Generator().manual_seed(3)
    for index in range(count):
        turns = arms_at(body, -15.0 * index) + 0.12 * torch.randn(rest.rotations.shape, generator=random)
        pose = type(rest)(turns, torch.tensor([[0.1, 0.2, 0.4 * index]]),
                          rest.root_translation + 0.1 * index)
        middle = body(pose).vertices[0].mean(0)
        camera = orbit(middle, 0.7 * index, 0.6 * math.sin(index), 1.6 if index == 4 else 3.0 + 0.3 * index,
                       0.6, (SIZE, SIZE), UP)
        if index == 7:
            K = camera.K.clone()
            K[:, 0, 1], K[:, 0, 0], K[:, 0, 2] = 3.0, 1.2 * K[:, 0, 0], 60.0
            camera = Camera(K, camera.R, camera.t, size=camera.size)
        yield pose, camera


def drawn(page, pose, camera, **wanted):
    """(4, H, W) straight colour and mask."""
    given = {"pose": {"rotations": pose.rotations.flatten().tolist(),
                      "root_rotation": pose.root_rotation[0].tolist(),
                      "root_translation": pose.root_translation[0].tolist()},
             "camera": {"K": camera.K[0].tolist(), "R": camera.R[0].tolist(), "t": camera.t[0].tolist(),
                        "size": list(camera.size)}} | wanted
    found = page.evaluate("given => anr.draw(given)", given)
    return torch.tensor(found["rgba"]).view(found["height"], found["width"], 4).permute(2, 0, 1)


def compared(page, avatar, body, picture):
    """Mean differences in 255ths, and decibels, of ten views over grey."""
    differences, decibels = [], []
    for pose, camera in views(body):
        expected = avatar.draw(Scene(body(pose).on(avatar.surface), camera, (SIZE, SIZE))).over(0.5)[0]
        found = drawn(page, pose, camera, picture=picture)
        found = found[:3] * found[3:] + 0.5 * (1 - found[3:])
        assert expected.std() > 0.015, "nobody is in the picture"
        differences.append(float((found - expected).abs().mean() * 255))
        decibels.append(-10 * math.log10(max(1e-9, float((found - expected).square().mean()))))
    return differences, decibels


def test_the_static_texture_is_shown_while_the_networks_load(page):
    said = page.evaluate("window.said")
    shown = [line for line in said if line != "loading"]
    assert shown[0] == "static texture · the networks are loading"
    assert shown[-1] == "learned picture · networks by WebAssembly"


def test_ten_poses_and_cameras_are_drawn_as_the_avatar_draws_them(page, runs):
    avatar = runs("anr")[1]
    differences, decibels = compared(page, avatar, avatar.body, "learned")
    print(f"mean difference at most {max(differences):.3f}/255, {min(decibels):.1f} dB or more")
    assert max(differences) < 2 and min(decibels) > 40


def test_the_static_texture_is_drawn_as_it_is_here(page, runs):
    run, avatar = runs("anr")
    differences, decibels = compared(page, run.static()[0], avatar.body, "static")
    print(f"mean difference at most {max(differences):.3f}/255, {min(decibels):.1f} dB or more")
    assert max(differences) < 2 and min(decibels) > 35  # one pixel of its hard outline is a fiftieth of this


@pytest.mark.slow
@pytest.mark.parametrize("system, changes", [("deferred", {"projection": "weak"}),
                                             ("anr", {"charts_by_part": True}), ("anr", {"fold": 1})])
def test_other_settings_are_drawn_as_the_avatar_draws_them(system, changes, browser, runs, tmp_path):
    run, avatar = runs(system, **changes)
    hand_on(run, tmp_path / "me.html")
    with opened(browser, tmp_path / "me.html") as page:
        assert page.evaluate("anr.learned")
        differences, decibels = compared(page, avatar, avatar.body, "learned")
        print(f"mean difference at most {max(differences):.3f}/255, {min(decibels):.1f} dB or more")
        assert max(differences) < 2 and min(decibels) > 40 and page.errors == []


def test_only_the_part_with_the_person_is_given_to_the_networks_and_nobody_sees_it(page, runs):
    pose, camera = next(views(runs("anr")[1].body))
    whole, part = (drawn(page, pose, camera, picture="learned", whole=whole) for whole in (True, False))
    assert float((whole[:3] * whole[3:] - part[:3] * part[3:]).abs().mean()) < 0.5 / 255


def test_joints_stand_where_the_body_puts_them(page, runs):
    body = runs("anr")[1].body
    pose = next(views(body))[0]
    which = list(range(0, 13718, 500))
    found = page.evaluate("([pose, which]) => anr.places(pose, which)", [
        {"rotations": pose.rotations.flatten().tolist(), "root_rotation": pose.root_rotation[0].tolist(),
         "root_translation": pose.root_translation[0].tolist()}, which])
    assert torch.allclose(torch.tensor(found).view(-1, 3), body(pose).vertices[0, which], atol=1e-4)


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


def test_where_networks_cannot_run_the_static_texture_stays_and_says_so(browser, runs, tmp_path):
    hand_on(runs("anr")[0], tmp_path / "me.html")
    text = (tmp_path / "me.html").read_text()
    broken = re.sub(r'(id="model">)[^<]*', r"\g<1>H4sIAAAAAAAAA0vLTy0qAgA/4aa0BQAAAA==", text)
    (tmp_path / "broken.html").write_text(broken)
    with opened(browser, tmp_path / "broken.html") as page:
        assert page.evaluate("anr.learned") is False
        until(page, "document.getElementById('status').textContent.startsWith("
                    "\"static texture · the networks can't run here\")")
        assert status(page)["shows"] == "static" and pixels(page).std() > 5
        before = pixels(page)
        page.evaluate("anr.set({ view: { azimuth: 90 } })")
        settle(page, before)
