"""A picture of the panel as a browser shows it, for the README.

    python -m tests.browser.screenshot RUN assets/panel.jpg
"""

import io
import sys
import tempfile
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.lab import FLAGS, PROBE, WINDOW, ask, install_chromium, jupyterlab, run_all
from tests.notebooks.headless import ROOT, notebook

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
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "notebooks").mkdir()
        for name in ("anr_core", "requirements.txt"):
            (folder / name).symlink_to(ROOT / name)
        nbformat.write(notebook("03_interact", RUN=str(Path(run).resolve()), STAMP=True),
                       folder / "notebooks" / "panel.ipynb")
        with jupyterlab(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=install_chromium(), args=FLAGS)
            page = browser.new_page(viewport=WINDOW)
            page.add_init_script(PROBE)
            run_all(page, address, "notebooks/panel.ipynb", 120)
            page.locator(".lm-TabBar-tabLabel").get_by_text("Pose", exact=True).last.click()
            ask(page, ARRANGED)
            page.wait_for_timeout(1500)
            page.locator(".jupyter-widget-tab").last.scroll_into_view_if_needed()
            shown = page.locator(".jp-OutputArea-output", has=page.locator(".jupyter-widget-tab")).last
            shot = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
            browser.close()
    shot.crop((0, 0, min(shot.width, 970), shot.height)).save(out, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
