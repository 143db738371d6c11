"""A picture of the panel as a browser shows it, for the README.

    python -m tests.browser.screenshot RUN assets/panel.jpg
"""

import io
import sys

from PIL import Image

from tests.browser.lab import ask, panel_of

ARRANGED = """
panel.parts["Pose"].choice.value = "A-pose"
for name, value in (("left elbow: bend", 70), ("right shoulder: raise", 15), ("head: turn left", 30)):
    panel.parts["Pose"].sliders.widgets[name].value = value
panel.change_view(azimuth=-20.0)
panel.stamp = False
panel.settle()
panel.change_view(azimuth=-22.0)
"""


def main(run: str, out: str) -> None:
    with panel_of(run) as page:
        page.locator(".lm-TabBar-tabLabel").get_by_text("Pose", exact=True).last.click()
        ask(page, ARRANGED)
        page.wait_for_timeout(1500)
        page.locator(".jupyter-widget-tab").last.scroll_into_view_if_needed()
        shown = page.locator(".jp-OutputArea-output", has=page.locator(".jupyter-widget-tab")).last
        shot = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    shot.crop((0, 0, min(shot.width, 970), shot.height)).save(out, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
