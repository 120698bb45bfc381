"""The process in which media files are decoded: `python -m avpipeline.media.worker FD`, started by `processes`.

A request is `(what, path, folder, arguments)`. The answers to it end with "done" or "refused"; before that come
"alive", once a second at most while there is progress, "warning", and "transform" with a frame, which is answered.
"""

import functools
import os
import resource
import signal
import sys
import time
import warnings
from multiprocessing.connection import Connection

import numpy as np

from avpipeline.errors import InputError
from avpipeline.files import reading
from avpipeline.media.decoding import decode, describe
from avpipeline.media.sinks import FrameRequest
from avpipeline.media.transport import receive_array, send_array

# The most memory that a decoder may take, in bytes: what `sinks.MOST_BYTES` allows, twice.
_MEMORY = 1 << 32
_BETWEEN_SIGNS = 1.0


class _Signs:
    """Tells the other end that the process is alive; called with every packet."""

    def __init__(self, connection: Connection):
        self._connection, self._next = connection, 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            self._connection.send(("alive", None))
            self._next = time.monotonic() + _BETWEEN_SIGNS


def _transformed(connection: Connection, frame: np.ndarray) -> np.ndarray:
    connection.send(("transform", None))
    send_array(connection, frame)
    return receive_array(connection)


def _read(connection: Connection, path: str, *, frames, **what) -> tuple[dict, list[np.ndarray]]:
    request = None
    if frames:
        frame_rate, size, is_transformed, threads = frames
        transform = functools.partial(_transformed, connection) if is_transformed else None
        request = FrameRequest(frame_rate, size, transform, threads)
    return decode(path, request=request, progress=_Signs(connection), **what)


def _answer(connection: Connection, what: str, path: str, arguments: dict) -> None:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            with reading(path, "cannot be decoded", "leave it out or convert it"):
                if what == "probe":
                    about, arrays = describe(path, _Signs(connection)), []
                else:
                    about, arrays = _read(connection, path, **arguments)
    except InputError as error:
        connection.send(("refused", str(error)))
        return
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            connection.send(("warning", str(warning.message)))
    connection.send(("done", (about, len(arrays))))
    for array in arrays:
        send_array(connection, array)


def main(descriptor: str) -> int:
    """Answers requests until the other end is closed."""
    # Ctrl-C reaches all processes of a terminal; the one that started this closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(int(descriptor))
    try:
        while True:
            what, path, folder, arguments = connection.recv()
            try:
                os.chdir(folder)
            except OSError:  # deleted meanwhile: no relative path leads anywhere, not into the last folder either
                os.chdir(os.sep)
            _answer(connection, what, path, arguments)
    except (EOFError, OSError):
        return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
