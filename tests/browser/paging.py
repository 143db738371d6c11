"""Exported pages for a test: runs whose networks do something, and a Chromium that opens one from disk."""

from __future__ import annotations

import contextlib
import io
import time

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from anr_core.avatars.run import Run, write_tensors
from anr_core.training import train
from tests.browser.lab import FLAGS, install_chromium
from tests.posed_capture import make_posed_capture

SIZE = 96
TINY = {"size": SIZE, "window": 64, "batch": 1, "texture_size": 64, "width": 6, "levels": 2}

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


class Runs:
    """Runs of one made-up capture by system and settings, with their avatars."""

    def __init__(self, folder):
        self.folder, self.made = folder, {}
        self.capture = make_posed_capture(folder / "capture", masked=True)

    def __call__(self, system, **changes):
        name = "-".join((system, *map(str, changes.values())))
        if name not in self.made:
            list(train(self.capture, self.folder / name, system, steps=1, config=TINY | changes))
            run = Run.open(self.folder / name)
            avatar = run.avatar()
            _stir(run, avatar)
            self.made[name] = run, avatar
        return self.made[name]


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


@contextlib.contextmanager
def chromium():
    """A browser for pages; the test is skipped where there is none."""
    pytest.importorskip("playwright")
    pytest.importorskip("onnx")
    found = install_chromium()
    if found is None:
        pytest.skip("no Chromium here, and apt could not install it: this is not root, or apt didn't answer")
    from playwright.sync_api import sync_playwright

    flags = [flag for flag in FLAGS if flag != "--disable-gpu"]  # which takes WebGL by software away, too
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
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
