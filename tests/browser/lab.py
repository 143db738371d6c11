"""JupyterLab on this machine and a Chromium in front of it, which reads the stamp of every picture shown."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat

from tests.notebooks.headless import ROOT, notebook

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WINDOW = {"width": 1280, "height": 900}

# Settings of JupyterLab: all cells stand in the page, and nothing is asked of the network.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}

# Decodes the bar code at a picture's upper edge: white, ten bits from the lowest, black.
PROBE = """
(() => {
  const CELLS = 12, line = document.createElement("canvas");
  line.width = CELLS * 4; line.height = 1;
  const context = line.getContext("2d", { willReadFrequently: true });
  const decode = (node) => {
    const width = node.naturalWidth, height = node.naturalHeight;
    if (!node.complete || width < 64 || !node.src.startsWith("blob:")) return null;
    context.clearRect(0, 0, line.width, 1);
    context.drawImage(node, 0, Math.max(1, height / 90), width, 1, 0, 0, line.width, 1);
    const pixels = context.getImageData(0, 0, line.width, 1).data;
    let number = 0;
    for (let cell = 0; cell < CELLS; cell++) {
      const value = pixels[(cell * 4 + 2) * 4 + 1];
      if (value > 90 && value < 165) return null;
      const bit = value > 127 ? 1 : 0;
      if (cell === 0 && !bit || cell === CELLS - 1 && bit) return null;
      if (cell > 0 && cell < CELLS - 1) number += bit << (cell - 1);
    }
    return number;
  };
  const probe = window.__probe = { last: null, frames: [], keys: [] };
  document.addEventListener("keydown", (event) => probe.keys.push(performance.now()), true);
  const look = () => {
    for (const node of document.querySelectorAll("img")) {
      const number = decode(node);
      if (number === null) continue;
      if (number !== probe.last) { probe.last = number; probe.frames.push([performance.now(), number]); }
      break;
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""

# Runs code in the notebook's kernel and gives back what it printed.
ASK = """
async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  let said = "";
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = (message) => {
    if (message.header.msg_type === "stream") said += message.content.text;
    if (message.header.msg_type === "error") said += message.content.traceback.join("\\n");
  };
  await future.done;
  return said;
}
"""


def find_chromium() -> str | None:
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def install_chromium() -> str | None:
    """Debian's, where this is root and apt answers; None where that can't be."""
    if find_chromium() is None and os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            done = subprocess.run(["apt-get", *command], env=quiet, capture_output=True, timeout=600)
            if done.returncode:
                break
    return find_chromium()


@contextlib.contextmanager
def jupyterlab(root: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows a folder, and lives as long as the block."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        for plugin, value in SETTINGS.items():
            file = Path(folder, "settings", f"{plugin}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(value))
        environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings",
                                    "JUPYTER_RUNTIME_DIR": f"{folder}/runtime",
                                    "JUPYTERLAB_WORKSPACES_DIR": f"{folder}/workspaces"}
        with open(Path(folder, "log"), "w+") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
                 f"--port={port}", "--IdentityProvider.token=", "--ServerApp.password=",
                 "--expose-app-in-browser", f"--ServerApp.root_dir={root}"],
                env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                _wait(f"http://127.0.0.1:{port}", server, Path(folder, "log"))
                yield f"http://127.0.0.1:{port}"
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(20)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)


def _wait(address, server, log):
    for _ in range(480):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=1)
            return
        except (OSError, urllib.error.URLError):
            time.sleep(0.25)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-600:]}")


def run_all(page, address: str, notebook: str, seconds: float) -> None:
    """Open a notebook, run all of its cells, and wait until a stamped picture is shown."""
    page.goto(f"{address}/doc/tree/{notebook}")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"
                           "?.status === 'idle'", timeout=90_000)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function("() => window.__probe.last !== null", timeout=1000 * seconds)


@contextlib.contextmanager
def panel_of(run: str | Path) -> Iterator:
    """A page that shows 03_interact of a run, stamped, in JupyterLab and Chromium."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "notebooks").mkdir()
        for name in ("anr_core", "requirements.txt"):
            (folder / name).symlink_to(ROOT / name)
        nbformat.write(notebook("03_interact", RUN=str(Path(run).resolve()), STAMP=True),
                       folder / "notebooks" / "panel.ipynb")
        with jupyterlab(folder) as address, chromium_page(install_chromium()) as page:
            run_all(page, address, "notebooks/panel.ipynb", 120)
            yield page


@contextlib.contextmanager
def chromium_page(chromium: str) -> Iterator:
    """A window of a Chromium, which reads the stamps of what it shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=WINDOW)
        page.add_init_script(PROBE)
        yield page
        browser.close()


def ask(page, code: str) -> str:
    return page.evaluate(ASK, code).strip()
