"""What memory a long video takes while it is drawn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAUSE = 1.0  # seconds between two looks


def memory_while_drawing(run: Path, out: Path, size: int) -> tuple[float, float, float]:
    """Resident memory, MiB, in the second and in the last tenth of a drawing, and how many seconds it took.

    Raises RuntimeError with what the command said where it fails.
    """
    command = [sys.executable, "-m", "anr_core", "render", str(run), str(out), "--size", str(size)]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        looks, begun = [], None
        while process.poll() is None:
            if any(out.parent.glob(f".{out.stem}.*{out.suffix}")):  # the encoder has begun
                begun = begun or time.perf_counter()
                looks.append(resident(process.pid))
            time.sleep(PAUSE)
        if process.returncode or not looks:
            told.seek(0)
            raise RuntimeError(told.read().decode(errors="replace")[-2000:])
    # in the first tenth networks are still being fitted to the pictures' size, and buffers grow
    tenth = max(1, len(looks) // 10)
    early, late = (statistics.median(part) for part in (looks[tenth:2 * tenth] or looks, looks[-tenth:]))
    return early, late, time.perf_counter() - begun


def resident(pid: int) -> float:
    """MiB that a process and those that it has started hold."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True).stdout
    found = [tuple(map(int, row.split())) for row in rows.splitlines()]
    return sum(kib for number, parent, kib in found if pid in (number, parent)) / 2**10
