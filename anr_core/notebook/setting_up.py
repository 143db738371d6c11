"""The set-up cell: installs what is missing, never torch or numpy, and says what there is to work with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from anr_core.telling import LONGEST_ERROR, brief

# Where the project can be read by everybody; `make badges REPO=owner/name` changes it here, in the notebooks
# and in the README.
REPOSITORY = "anr-core/anr_core"

ROOT = Path(__file__).resolve().parents[2]
# Warp's wheels from 1.18 on want a driver of at least this version, which Colab's T4 may not have.
OLD_DRIVER, OLD_WARP = 580, "warp-lang<1.18"
KEPT = ("torch", "torchvision", "numpy")  # what a notebook never replaces
# What only the tests need, and what only a notebook's own server has: never installed by a notebook. Nor is
# onnx, which wants a newer protobuf than some have: who exports to it is told.
ONLY_TESTS = ("ipykernel", "jupyterlab", "jupytext", "lmdb", "nbclient", "onnx", "onnxruntime", "playwright",
              "pytest", "pytest-xdist", "ruff")
GIGABYTE = 1024**3
USER_ERRORS = (ValueError, OSError, ImportError)
NO_GPU = ("No GPU: everything works, training takes longer. On Colab: Runtime > Change runtime type > T4 "
          "GPU, then run all again.")


def on_colab() -> bool:
    """Whether this runs on Google Colab, told without importing anything of it."""
    return importlib.util.find_spec("google") is not None and \
        importlib.util.find_spec("google.colab") is not None


def set_up(tests: bool = False) -> None:
    """Install what is missing, without touching torch and numpy, and say what there is.

    tests  what only the tests need too

    Raises OSError, with pip's last line, where something can't be installed.
    """
    one_line_errors()
    lacking = missing(requirements(ROOT / "requirements.txt", tests))
    if lacking:
        print(f"installing {', '.join(name_of(line) for line in lacking)} ...")
        install(lacking)
    os.chdir(ROOT)  # captures/ and runs/ are there, wherever the notebook was opened
    print(report())


def requirements(file: Path, tests: bool) -> list[str]:
    """The lines of a requirements file, with an older Warp where the driver is old."""
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    driver = driver_version()
    if driver is not None and driver < OLD_DRIVER:
        lines = [OLD_WARP if name_of(line) == "warp-lang" else line for line in lines]
    return [line for line in lines if line and (tests or name_of(line) not in ONLY_TESTS)]


def name_of(line: str) -> str:
    """The package that a line of requirements names."""
    return re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]


def missing(lines: list[str]) -> list[str]:
    """Those that are not installed; of Warp also one that is too new for the driver."""
    found = []
    for line in lines:
        try:
            version = importlib.metadata.version(name_of(line))
        except importlib.metadata.PackageNotFoundError:
            found.append(line)
            continue
        if line == OLD_WARP and tuple(map(int, version.split(".")[:2])) >= (1, 18):
            found.append(line)
    return found


def install(lines: list[str]) -> None:
    """Install packages under what runs already, so that pip can't replace it."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "constraints.txt")
        held.write_text("".join(f"{name}=={version}\n" for name, version in running().items()))
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-c", str(held), *lines],
                              capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        reason = said[-1] if said else "it gave no reason"
        raise OSError(f"pip could not install {' '.join(lines)}: {reason}")
    importlib.invalidate_caches()


def running() -> dict[str, str]:
    """The versions of what a notebook never replaces, as far as it is there."""
    return versions_of(KEPT)


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Those of packages, as far as they are there."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def driver_version() -> int | None:
    """The major version of the NVIDIA driver, or None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    told = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                          capture_output=True, text=True).stdout.strip()
    return int(told.split(".")[0]) if told[:1].isdigit() else None


def report() -> str:
    """What there is to work with, a line each."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    driver = driver_version()
    lines = [f"Python {sys.version.split()[0]}, torch {torch.__version__}, numpy {running().get('numpy')}",
             f"GPU {gpu}" + (f", driver {driver}" if driver else "") if gpu else NO_GPU,
             f"Warp {importlib.metadata.version('warp-lang')} on {_warp_devices()}",
             f"{shutil.disk_usage(ROOT).free / GIGABYTE:.0f} GB of disk free, {os.cpu_count()} CPU cores"]
    return "\n".join(lines)


def _warp_devices():
    from anr_core.rasterizer.warp import wp  # which keeps it quiet

    return ", ".join(str(device) for device in wp.get_devices())


def one_line_errors() -> None:
    """Tell what a user can mend in one line under the cell, without a wall of traceback.

    `%tb` shows where it came from. Other errors look as ever.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return

    def tell(shell, kind, value, traceback, tb_offset=None):
        sys.last_type, sys.last_value, sys.last_traceback = kind, value, traceback  # for %tb
        words = brief(value, LONGEST_ERROR) or kind.__name__
        print(words, file=sys.stderr)
        return [words]

    shell.set_custom_exc(USER_ERRORS, tell)
