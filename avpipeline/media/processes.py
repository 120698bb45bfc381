"""Processes that decode media files: a hostile file can end one of them, never the program.

Each thread that reads takes an idle process or starts one (0.3 s), which lives as long as the program; one that died or
hung is replaced. They do not import TensorFlow.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from avpipeline.errors import InputError
from avpipeline.media.transport import receive_array, send_array

# Seconds without progress after which a file is given up.
_PATIENCE = 60.0


def _working_folder() -> str:
    """The folder that relative paths start from; the root, where none can, if it has been deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.sep


class _Process:
    """One decoding process and the connection to it; without progress for `patience` seconds a file is given up."""

    def __init__(self, patience: float = _PATIENCE):
        self._patience = patience
        # A separate program, since a `multiprocessing` child would import the main script again, and TensorFlow.
        ours, theirs = socket.socketpair()
        search = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "avpipeline.media.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # the C library writes to it when it aborts a process
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search)), "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())

    def ask(self, what: str, path, arguments: dict, transform: Callable | None) -> tuple[dict, list[np.ndarray]]:
        """What the process answers; InputError if it refuses, dies or hangs; one that hangs is ended."""
        try:
            self._connection.send((what, str(path), _working_folder(), arguments))
            while True:
                if not self._connection.poll(self._patience):
                    self.end()
                    raise InputError(
                        f"{path}: its decoder made no progress for {self._patience:.0f} s; leave it out or convert it."
                    )
                kind, content = self._connection.recv()
                if kind == "refused":
                    raise InputError(content)
                if kind == "warning":
                    warnings.warn(content, UserWarning, stacklevel=4)
                elif kind == "transform":
                    send_array(self._connection, transform(receive_array(self._connection)))
                elif kind == "done":
                    about, count = content
                    return about, [receive_array(self._connection) for _ in range(count)]
        except (EOFError, OSError) as error:
            status = self.end()
            how = signal.Signals(-status).name if status < 0 else f"status {status}"
            raise InputError(f"{path}: its decoder ended abruptly ({how}); leave it out or convert it.") from error

    @property
    def is_alive(self) -> bool:
        return not self._connection.closed and self._process.poll() is None

    def end(self) -> int:
        """Ends the process; returns its exit status, negative the signal that ended it before."""
        self._connection.close()
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


_idle: list[_Process] = []
_lock = threading.Lock()


def ask(what: str, path, *, transform: Callable | None = None, **arguments) -> tuple[dict, list[np.ndarray]]:
    """What a decoding process answers: numbers by name, and arrays; see `worker`.

    Args:
      what: "probe" or "read".
      transform: for "read", applied to each frame in this process.

    Raises:
      InputError: the file cannot be used, or its decoder died or hung.
    """
    with _lock:
        process = _idle.pop() if _idle else None
    if process is None or not process.is_alive:
        process = _Process()
    is_free = False
    try:
        answer = process.ask(what, path, arguments, transform)
        is_free = True
        return answer
    except InputError:
        is_free = process.is_alive
        raise
    finally:
        # Anything else, such as Ctrl-C, leaves an unfinished answer in the connection.
        if is_free:
            with _lock:
                _idle.append(process)
        else:
            process.end()


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


def _forget() -> None:
    """After a fork: the processes belong to the parent."""
    global _lock
    _idle.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
