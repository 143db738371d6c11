"""An exported page in a real browser, from disk and without a network: it draws what the avatar draws."""

import math
import re

import pytest
import torch

from anr_core.avatars import Scene
from anr_core.body.controls import arms_at
from anr_core.camera import Camera, orbit
from anr_core.export.handing import hand_on
from tests.browser.paging import SIZE, Runs, chromium, opened, pixels, settle, status, until

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(browser, runs, tmp_path_factory):
    file = tmp_path_factory.mktemp("opened") / "me.html"
    hand_on(runs("anr")[0], file)
    with opened(browser, file) as page:
        assert page.evaluate("anr.learned")
        until(page, "anr.status().shows === 'learned'")
        yield page


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
@pytest.mark.parametrize("system, changes", [("deferred", {"projection": "weak", "fold": 1}),
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


def test_nothing_was_asked_of_the_network_and_the_console_stayed_silent(page):
    assert page.errors == []
    assert not [address for address in page.asked if not address.startswith(("file:", "blob:", "data:"))]
