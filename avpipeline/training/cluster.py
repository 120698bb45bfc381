"""Several machines that train together: who they are, from the variable TF_CONFIG, and whether all are there."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.files import first_line

VARIABLE = "TF_CONFIG"
FORM = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
_RETRY_SECONDS = 0.2
# What TensorFlow raises when another worker is gone.
_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


def read(described: str) -> tuple[list[str], int]:
    """The workers' addresses, the chief's first, and which of them this one is."""
    try:
        fields = json.loads(described)
        jobs, task = fields["cluster"], fields["task"]
        places = [(job, number) for job in ("chief", "worker") for number in range(len(jobs.get(job, ())))]
        addresses = [str(jobs[job][number]) for job, number in places]
        own = places.index((task["type"], int(task["index"])))
        if set(jobs) - {"chief", "worker"} or any(not address.rpartition(":")[2].isdecimal() for address in addresses):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{VARIABLE}: is not of the form {FORM}; correct it, or remove it to train on this machine alone."
        ) from error
    return addresses, own


def wait_for(addresses: Sequence[str], own: int, seconds: int) -> None:
    """Waits until every worker answers; TensorFlow itself would wait forever."""
    pairs = [(host.strip("[]"), int(port)) for host, _, port in (address.rpartition(":") for address in addresses)]
    deadline = time.monotonic() + seconds
    with _listening(addresses[own], pairs[own][1]):
        silent = [place for place in range(len(pairs)) if place != own]
        while silent:
            silent = [place for place in silent if not _answers(pairs[place])]
            if silent and time.monotonic() > deadline:
                names = ", ".join(addresses[place] for place in silent)
                raise InputError(
                    f"{VARIABLE}: no answer from {names} within {seconds} s; start every worker, check the addresses, "
                    "or give --wait more seconds."
                )
            time.sleep(_RETRY_SECONDS if silent else 0)


@contextlib.contextmanager
def _listening(address: str, port: int) -> Iterator[None]:
    """Answers at this worker's address until TensorFlow's server does."""
    try:
        listener = socket.create_server(("", port))
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{VARIABLE}: this worker cannot listen at {address} ({error}); another process may, choose another port."
        ) from error
    with listener:
        yield


def _answers(pair: tuple[str, int]) -> bool:
    try:
        socket.create_connection(pair, timeout=1).close()
    except (OSError, OverflowError):
        return False
    return True


@contextlib.contextmanager
def all_there() -> Iterator[None]:
    """Turns TensorFlow's error about a worker that is gone into one sentence."""
    try:
        yield
    except _GONE as error:
        raise InputError(
            f"{VARIABLE}: another worker does not answer any more ({first_line(error)}); start all of them again, and "
            "the run goes on from its last state."
        ) from error
