"""Several processes on this machine, as torchrun would start them: what a function returns in each."""

import multiprocessing
import os
import pickle
import socket
import traceback

import torch
import torch.utils.tensorboard  # noqa: F401, as the next two: what training would import, two seconds each time

import anr_core.avatars.anr  # noqa: F401
import anr_core.rasterizer.warp  # noqa: F401
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
        return pickle.loads(hears.recv_bytes())
    except EOFError:
        process.join()
        return process.exitcode


def _run(rank, count, port, says, function, arguments):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
                   "LOCAL_WORLD_SIZE": str(count), "GROUP_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port)}
    try:
        told = function(*arguments)
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    says.send_bytes(pickle.dumps(told))  # as they are: `send` hands tensors over by files that close with us
    os._exit(0)  # at Python's end gloo may wait for the others


def trained(captures, run, system, config, **choices) -> list:
    """Train to the end; the steps' progress."""
    return list(train(captures, run, system, config=config, **choices))


def alone(function, *arguments):
    """The same here, as one of several computes it: in one thread.

    Two threads add up in another order, of which group norm in channels-last order makes differences of 1e-5.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(*arguments)
    finally:
        torch.set_num_threads(threads)
