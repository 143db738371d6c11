"""The command line: one record a command, whose fields are its options and whose comments are its help.

What a command raises on purpose (bad input, a full disk, something that isn't installed) becomes one line on
stderr and exit code 2.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import sys

import tyro

from anr_core.cli.captures import Annotate, Convert, Fit, Lift, Mask, Paint, Prepare, Sheet, Studio
from anr_core.cli.looking import Bench, Shapes
from anr_core.cli.runs import Evaluate, Mesh, Render, Train, Transfer
from anr_core.launch import Alike, speaks, started

# Commands import what they need when they run: --help must not wait for torch.

BAD_INPUT, INTERRUPTED = 2, 130

COMMANDS = {"prepare": Prepare, "convert": Convert, "studio": Studio, "paint": Paint, "sheet": Sheet,
            "annotate": Annotate, "mask": Mask, "fit": Fit, "lift": Lift, "train": Train,
            "evaluate": Evaluate, "render": Render, "transfer": Transfer, "mesh": Mesh,
            "shapes": Shapes, "bench": Bench}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; `arguments` are sys.argv's where none are given."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be text
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m anr_core", args=arguments, config=(tyro.conf.FlagCreatePairsOff,),
            description="Avatars of people from captures. Each command explains itself: COMMAND --help. "
                        "ANR_CORE_TRACEBACK=1 shows where an error comes from.")
        with contextlib.nullcontext() if speaks() else _silent():
            command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
    except KeyboardInterrupt as interrupt:
        if speaks():
            print("Interrupted.", interrupt, file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ANR_CORE_TRACEBACK"):
            raise
        _tell(error)
        return BAD_INPUT
    return 0


@contextlib.contextmanager
def _silent():
    """What other processes say as well is said by the first."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), \
            contextlib.redirect_stderr(nowhere):
        yield


def _tell(error: Exception) -> None:
    """One line. Of several processes the first tells what all have met, each what it alone has."""
    whose = ""
    if _training_together() and not isinstance(error, Alike):
        place = started()
        whose = f" in process {place.rank} of {place.count}, on {platform.node()}"
    elif not speaks():
        return
    print(f"Error{whose}:", " ".join(str(error).split()), file=sys.stderr)


def _training_together() -> bool:
    torch = sys.modules.get("torch")  # before it is imported nothing has begun
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
