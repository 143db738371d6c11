"""A run folder is trained by one process at a time.

The system takes the lock from a process that ends in whatever way, so nobody has to clean up after a kill.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import ClassVar

from anr_core.avatars.run import LOCK, writing

try:
    import fcntl
except ImportError:  # Windows has other locks; there nobody watches
    fcntl = None


class Lock:
    """Keeps other processes from training in a folder while it is entered.

    A second training of the same process takes the folder over: a notebook's cell that was interrupted may
    have left one that nobody can reach any more.
    """

    held: ClassVar[dict[Path, Lock]] = {}

    def __init__(self, folder: Path):
        self.folder, self.file, self.made = folder, None, False

    @property
    def mine(self) -> bool:
        """Whether no later training of this process has taken the folder over."""
        return self.held.get(self.folder) is self

    def __enter__(self) -> Lock:
        earlier = self.held.get(self.folder)
        self.file = earlier.file if earlier else self._locked()
        self.held[self.folder] = self
        return self

    def __exit__(self, *error) -> None:
        if not self.mine:
            return
        del self.held[self.folder]
        if self.file is not None:
            (self.folder / LOCK).unlink(missing_ok=True)  # while it is ours: nobody else's is removed
            self.file.close()
        if self.made and not any(self.folder.iterdir()):  # refused before anything was written
            self.folder.rmdir()

    def _locked(self):
        """The file whose lock is ours; None where the system has none."""
        path = self.folder / LOCK
        with writing(path):
            self.made = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            while fcntl is not None:
                file = open(path, "a+", encoding="utf-8")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise self._taken(file) from None
                except OSError:  # not on this file system, such as Drive on Colab
                    file.close()
                    path.unlink()
                    break
                if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {socket.gethostname()}")
                    file.flush()
                    return file
                file.close()  # whoever had it has removed it since it was opened
        return None

    def _taken(self, file):
        file.seek(0)
        owner = file.read() or "another process"
        file.close()
        return ValueError(f"{self.folder} is being trained by {owner}. Wait for it, end it, or train into "
                          "another folder.")


def _forget() -> None:
    """Who reads pictures outlives a killed training by some seconds, and must not keep its lock."""
    for lock in Lock.held.values():
        if lock.file is not None:
            lock.file.close()
    Lock.held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_forget)
