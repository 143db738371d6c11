"""What holds for the whole project: its requirements, its style."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def requirement_names(file):
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return {re.split(r"[\[<>=!~ ]", line)[0].lower().replace("_", "-") for line in lines if line}


def test_requirements_keep_out_names_that_are_something_else_or_need_a_compiler():
    # `drtk` on the registry is somebody else's and `nvdiffrast` is not there; torchvision and what imports it
    # (lightning, torchmetrics) fail beside a CPU torch
    forbidden = {"drtk", "nvdiffrast", "pytorch3d", "spconv", "torchvision", "lightning", "torchmetrics"}
    assert not forbidden & requirement_names("requirements.txt")


def test_every_requirement_is_pinned_in_the_constraints():
    assert not requirement_names("requirements.txt") - requirement_names("constraints.txt")


def test_style_is_clean():
    checked = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)],
                             capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
