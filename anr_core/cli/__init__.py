"""The command line: one record a command, whose fields are its options and whose comments are its help.

What a command raises on purpose (bad input, a full disk, something that isn't installed) becomes one line on
stderr and exit code 2. A signal that asks it to stop lets it save first; the code is then 128 and its
number, as a shell has it.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator

import tyro

from anr_core.cli.captures import Annotate, Convert, Fit, Lift, Mask, Paint, Prepare, Sheet, Studio
from anr_core.cli.looking import Bench, Shapes
from anr_core.cli.runs import Evaluate, Export, Mesh, Render, Train, Transfer
from anr_core.launch import Alike, speaks, started
from anr_core.telling import LONGEST_ERROR, brief

# Commands import what they need when they run: --help must not wait for torch.

BAD_INPUT = 2
STOPPING = "SIGINT", "SIGTERM", "SIGHUP"  # Ctrl-C; a scheduler, or the system going down; a closed terminal

COMMANDS = {"prepare": Prepare, "convert": Convert, "studio": Studio, "paint": Paint, "sheet": Sheet,
            "annotate": Annotate, "mask": Mask, "fit": Fit, "lift": Lift, "train": Train,
            "evaluate": Evaluate, "render": Render, "transfer": Transfer, "mesh": Mesh,
            "export": Export, "shapes": Shapes, "bench": Bench}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; `arguments` are sys.argv's where none are given."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be text
    heard = True  # only `train` joins processes, of which one speaks
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m anr_core", args=arguments, config=(tyro.conf.FlagCreatePairsOff,),
            description="Avatars of people from captures. Each command explains itself: COMMAND --help. "
                        "ANR_CORE_TRACEBACK=1 shows where an error comes from.")
        heard = not isinstance(command, Train) or speaks()
        with stoppable(), contextlib.nullcontext() if heard else _silent():
            command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT
        if heard:
            print("Interrupted.", interrupt, file=sys.stderr)
        return 128 + number
    except (ValueError, OSError, ImportError, MemoryError) as error:
        return failed(heard, error, str(error) or "There is not enough memory. Free it of other programs.")
    except RuntimeError as error:
        _, allocator, reason = str(error).partition("DefaultCPUAllocator: ")
        if allocator:  # torch raises no MemoryError
            return failed(heard, error, "There is not enough memory: choose a smaller --size or --preset, or "
                          f"free it of other programs ({reason}).")
        if type(error).__name__ != "OutOfMemoryError":  # torch's too: of a GPU
            raise
        return failed(heard, error, "The GPU's memory is too small: choose a smaller --size, or free it of "
                      f"other programs ({str(error).partition('. ')[0]}).")
    return 0


def failed(heard: bool, error: Exception, told: str) -> int:
    """Tell in one line what went wrong, or with a traceback to who asked for it.

    heard  whether this process speaks for those that train with it: the first tells what all have met, each
           what it alone has
    """
    if os.environ.get("ANR_CORE_TRACEBACK"):
        raise error
    whose = ""
    if _training_together() and not isinstance(error, Alike):
        place = started()
        whose = f" in process {place.rank} of {place.count}, on {platform.node()}"
    elif not heard:
        return BAD_INPUT
    print(f"Error{whose}:", brief(told, LONGEST_ERROR), file=sys.stderr)
    return BAD_INPUT


def _training_together() -> bool:
    torch = sys.modules.get("torch")  # before it is imported nothing has begun
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()


@contextlib.contextmanager
def _silent():
    """What other processes say as well is said by the first."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), \
            contextlib.redirect_stderr(nowhere):
        yield


class Stopped(KeyboardInterrupt):
    """A signal that asks to stop, told as Ctrl-C is: what is interrupted saves and cleans up alike."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped for signals that would end the program where it is, unless it was told to ignore them."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}

    def stop(number, frame):
        raise Stopped(number)

    # nohup and a shell's & have some ignored
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
