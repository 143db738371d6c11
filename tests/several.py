"""Several processes on this machine, as torchrun would start them: what a function returns in each."""

import multiprocessing
import os
import socket
import traceback

import torch

from anr_core.training import train

# forks of a process that has imported everything: each would need seconds to import torch
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.several"])
PATIENCE = 120  # seconds


def in_processes(function, *arguments, count: int = 2) -> list:
    """Each process's result, or what it raised as text, or minus the signal that has ended it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(count):
        hears, says = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=_run, args=(rank, count, port, says, function, arguments))
        process.start()
        says.close()
        started.append((process, hears))
    try:
        return [_result(*one) for one in started]
    finally:
        for process, _ in started:
            process.kill()


def _result(process, hears):
    assert hears.poll(PATIENCE), "a process hangs"
    try:
        return hears.recv()
    except EOFError:
        process.join()
        return process.exitcode


def _run(rank, count, port, says, function, arguments):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
                   "LOCAL_WORLD_SIZE": str(count), "GROUP_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port)}
    try:
        says.send(function(*arguments))
    except BaseException as error:
        says.send(f"{type(error).__name__}: {error}")
        traceback.print_exc()
    says.close()
    os._exit(0)  # at Python's end gloo may wait for the others


def trained(captures, run, system, config, **choices) -> list:
    """Train to the end; the steps' progress."""
    return list(train(captures, run, system, config=config, **choices))
