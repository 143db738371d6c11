"""Which of several processes this is, as torchrun or SLURM's srun has started them; without torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

PORT = 15_000  # from here on, of the first process, where srun's job has to choose one


@dataclass(frozen=True)
class Place:
    """Which process this is, from 0, of how many."""

    rank: int = 0
    count: int = 1


class Alike(ValueError):
    """An error that all processes have at once, so that only the first one needs to tell it."""


ALONE = Place()


def started() -> Place:
    """As torchrun or srun has started this process."""
    variables = launched(os.environ)
    return Place(int(variables["RANK"]), int(variables["WORLD_SIZE"]))


def launched(environ: dict[str, str]) -> dict[str, str]:
    """torchrun's variables: given, or told by srun's, or those of a process that is alone.

    Raises ValueError where srun has started unlike numbers of processes on its machines.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "1"} | dict(environ)
    count = int(environ.get("SLURM_STEP_NUM_TASKS", 1))
    if count == 1 or "SLURM_PROCID" not in environ:
        return {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1"}
    machines = int(environ.get("SLURM_STEP_NUM_NODES", 1))
    if count % machines:
        raise ValueError(f"srun has started {count} processes on {machines} machines; each needs as many. "
                         "Say how many with --ntasks-per-node.")
    job = environ.get("SLURM_JOB_ID", "0")
    return {"RANK": environ["SLURM_PROCID"], "WORLD_SIZE": str(count),
            "LOCAL_RANK": environ["SLURM_LOCALID"], "LOCAL_WORLD_SIZE": str(count // machines),
            "GROUP_RANK": environ.get("SLURM_NODEID", "0"), "GROUP_WORLD_SIZE": str(machines),
            "MASTER_ADDR": environ.get("MASTER_ADDR", first_machine(environ.get("SLURM_STEP_NODELIST", ""))),
            # two steps of one job, or two jobs on one machine, rarely have the same
            "MASTER_PORT": environ.get("MASTER_PORT", str(PORT + (int(job) * 7 + int(
                environ.get("SLURM_STEP_ID", 0))) % 10_000))}


def first_machine(machines: str) -> str:
    """The first of SLURM's list, such as gpu[03-05,9],big1: gpu03."""
    return re.sub(r"\[(\w+)[^]]*\]", r"\1", machines).split(",")[0] or "127.0.0.1"


def speaks() -> bool:
    """Whether this process tells the user how a training goes, which the others keep quiet about.

    Only `train` joins processes: in any other command each is alone, however it was started.
    """
    return started().rank == 0
