"""How fast the panel follows the hand in a real browser: from a key press to the right picture.

    python -m benchmarks.panel RUN

Opens 03_interact on a run in JupyterLab and Chromium. A bar code in each picture tells which state it shows.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from tests.browser.lab import ask, panel_of

PRESSES, MOVES, SECONDS = 40, 120, 2.0
SHOWN = "from anr_core.viewer.drawing import stamp_of; print(stamp_of(panel.state))"


def main(run: str) -> None:
    with panel_of(run) as page:
        page.wait_for_timeout(2000)
        page.locator(".noUi-handle").first.focus()
        waits = np.array([_pressed(page, press) for press in range(PRESSES)])
        print(f"{'key press to picture':28} median {np.median(waits):.0f} ms, "
              f"95th percentile {np.percentile(waits, 95):.0f} ms")
        print(f"{f'{MOVES} moves in {SECONDS:g} s':28} {_flooded(page)}")
        said = ask(page, "print(panel.status.value)")
        print(f"{'the panel says':28} {said.split('>')[1].split('<')[0]}")


def _pressed(page, press: int) -> float:
    """Milliseconds until the picture that answers a key press is shown; it is the last one that comes."""
    page.keyboard.press("ArrowLeft" if press % 2 else "ArrowRight")
    page.wait_for_timeout(600)
    pressed = page.evaluate("window.__probe.keys")[-1]
    return [moment for moment, _ in page.evaluate("window.__probe.frames") if moment > pressed][-1] - pressed


def _flooded(page) -> str:
    page.keyboard.press("Home")
    page.wait_for_timeout(1500)
    started, first = time.monotonic(), page.evaluate("performance.now()")
    for move in range(MOVES):
        page.keyboard.press("ArrowRight")
        left = started + SECONDS * (move + 1) / MOVES - time.monotonic()
        if left > 0:
            page.wait_for_timeout(1000 * left)
    ended = page.evaluate("window.__probe.keys")[-1]
    page.wait_for_timeout(3000)
    frames = page.evaluate("window.__probe.frames")
    right = "the last one is right" if frames[-1][1] == int(ask(page, SHOWN)) else "the last one is WRONG"
    drawn = sum(moment > first for moment, _ in frames)
    return f"{drawn} pictures, the last {frames[-1][0] - ended:.0f} ms after the last move; {right}"


if __name__ == "__main__":
    main(*sys.argv[1:])
