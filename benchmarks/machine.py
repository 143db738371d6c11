"""On what a figure was made: machine, versions and day."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import torch

from anr_core import bench
from anr_core.notebook.setting_up import versions_of

NAMED = ("torch", "numpy", "warp-lang", "lightning-fabric", "scikit-image", "flip-evaluator", "lpips")


def made_here() -> dict:
    """Machine, versions and the day that it is."""
    return {"machine": machine(), "versions": versions(), "date": datetime.now(UTC).date().isoformat()}


def machine() -> dict:
    """Processor, cores, memory, GPU and system; None for what there isn't, or can't be asked for."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": bench.processor(), "cores": bench.cores(), "memory_gib": memory(), "gpu": gpu,
            "system": platform.platform(terse=True)}


def memory() -> float | None:
    """GiB of the whole machine; None where the system doesn't tell, as Windows."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError):
        return None


def versions() -> dict[str, str]:
    """Those of Python and of what figures depend on."""
    return {"python": platform.python_version()} | versions_of(NAMED)
