"""The command line: one record a command, whose fields are its options and whose comments are its help.

What a command raises on purpose (bad input, a full disk, something that isn't installed) becomes one line on
stderr and exit code 2.
"""

from __future__ import annotations

import io
import os
import sys

import tyro

from anr_core.cli.captures import Annotate, Convert, Fit, Lift, Mask, Paint, Prepare, Sheet, Studio
from anr_core.cli.looking import Bench, Shapes
from anr_core.cli.runs import Evaluate, Mesh, Render, Train, Transfer

# Commands import what they need when they run: --help must not wait for torch.

BAD_INPUT, INTERRUPTED = 2, 130
LONGEST = 2000  # characters of an error: what a file holds may stand in it

COMMANDS = {"prepare": Prepare, "convert": Convert, "studio": Studio, "paint": Paint, "sheet": Sheet,
            "annotate": Annotate, "mask": Mask, "fit": Fit, "lift": Lift, "train": Train,
            "evaluate": Evaluate, "render": Render, "transfer": Transfer, "mesh": Mesh,
            "shapes": Shapes, "bench": Bench}


def one_line(error: Exception) -> str:
    """What an error says, in one line of moderate length, without what would steer a terminal."""
    told = " ".join(str(error).split())
    told = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in told)
    return told if len(told) <= LONGEST else f"{told[:LONGEST // 2]} ... {told[-LONGEST // 2:]}"


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; `arguments` are sys.argv's where none are given."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be text
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m anr_core", args=arguments, config=(tyro.conf.FlagCreatePairsOff,),
            description="Avatars of people from captures. Each command explains itself: COMMAND --help. "
                        "ANR_CORE_TRACEBACK=1 shows where an error comes from.")
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
    except KeyboardInterrupt as interrupt:
        print("Interrupted.", interrupt, file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ANR_CORE_TRACEBACK"):
            raise
        print("Error:", one_line(error), file=sys.stderr)
        return BAD_INPUT
    return 0
