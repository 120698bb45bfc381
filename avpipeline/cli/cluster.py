"""Spreads work over a Ray cluster: a function on CPUs for each item, then, if wanted, actors that hold a network.

Ray comes with the extra `[ray]` and is imported only when it is needed. The work of a killed worker is redone by
another one.
"""

import contextlib
import dataclasses
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from avpipeline.errors import InputError
from avpipeline.files import first_line

EngineName = Literal["local", "ray"]

# A URL that has passed through Path, which turns s3://bucket/clips into s3:/bucket/clips.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# Not `ray health-check`, which sends no token, so that a cluster made by `ray start` refuses it.
_PROBE = "import sys, logging, ray; ray.init(sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)"
_PATIENCE = 60
_ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_ATTEMPTS = 3
_QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}
# More items than this are grouped, since Ray keeps a list of all tasks.
_MOST_TASKS = 2000


def require_engine(engine: EngineName, address: str | None) -> None:
    """Raises InputError for an address that is malformed or not needed, and if Ray is needed but not installed."""
    if engine == "local":
        if address is not None:
            raise InputError(f"--address {address}: is of a Ray cluster; add --engine ray, or leave it out.")
        return
    if address is not None and not _ADDRESS.fullmatch(address):
        raise InputError(
            f"--address {address}: is no address of a Ray cluster; give auto or HOST:PORT, run on one of its machines."
        )
    try:
        # NumPy's version decides whether pyarrow, on which Ray Data rests, can be imported.
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"--engine ray: Ray cannot be imported ({first_line(error)}); run pip install 'audio-visual-fusion[ray]', "
            "or take --engine local."
        ) from error


@contextlib.contextmanager
def connected(address: str | None, patience: int = _PATIENCE) -> Iterator[None]:
    """Uses a cluster while the block runs.

    Args:
      address: "auto" for the cluster that this machine belongs to, or host:port; None starts a cluster on this
        machine alone, which ends with the block.
      patience: seconds in which a cluster has to answer.

    Raises:
      InputError: no cluster answers there in that time.
    """
    import ray

    # By default Ray reports usage statistics to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        _start()
    else:
        _require_cluster(address, patience)
        try:
            ray.init(address=address, **_QUIET)
        except Exception as error:
            # The cluster runs another version of Ray or Python, or is gone by now.
            raise _no_cluster(address, first_line(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start() -> None:
    """Starts a cluster on this machine alone."""
    import ray

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(address="local", include_dashboard=False, **_QUIET)
            return
        except Exception as error:
            # On a busy machine Ray's processes miss each other's deadlines.
            ray.shutdown()
            if attempt == _ATTEMPTS:
                raise InputError(
                    f"--engine ray: Ray did not start on this machine ({first_line(error)}); run again when it has "
                    "less to do, or take --engine local."
                ) from error


def _require_cluster(address: str, patience: int) -> None:
    """Tries to connect in a separate process, which can be killed: Ray itself may wait for minutes for an answer."""
    command = [sys.executable, "-c", _PROBE, address]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise _no_cluster(address, f"no answer within {patience} s") from error
    if answer.returncode:
        told = answer.stderr.strip().splitlines() or ["nothing answers there"]
        raise _no_cluster(address, told[-1][:200].rstrip(". "))


def _no_cluster(address: str, told: str) -> InputError:
    return InputError(
        f"--address {address}: there is no Ray cluster that this command can use ({told}); start one (ray start "
        "--head), correct the address, or leave it out to use this machine alone."
    )


def require_folders(places: Iterable, role: str) -> None:
    """Raises InputError for a URL, which would otherwise be taken for the name of a local folder."""
    for place in places:
        if _URL.match(str(place)) and not Path(place).exists():
            raise InputError(
                f"{place}: {role} in folders alone, not at URLs (s3://, gs://, hdfs://, ...); mount "
                "the storage as a folder that all machines see, and name that."
            )


def machines() -> int:
    """Number of machines of the cluster."""
    import ray

    return sum(node["Alive"] for node in ray.nodes())


def gpus() -> int:
    """Number of GPUs of the cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def mapped(
    function: Callable,
    items: Sequence,
    *,
    actor: type | None = None,
    arguments: tuple = (),
    actors: int = 1,
) -> Iterator:
    """Yields `function(item)` for each item in order, computed by one-CPU tasks in the command's working directory.

    Args:
      actor: a class whose objects are called with each result of `function`; its results are returned then. Each
        object has a GPU to itself where the cluster has any.
      arguments: those of its constructor.
      actors: number of its objects.

    Raises:
      InputError: as raised by `function` or the actor; or Ray could not go on.
    """
    import ray

    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    held = [{"item": _Held(item)} for item in items]
    rows = ray.data.from_items(held, override_num_blocks=min(len(items), _MOST_TASKS))
    rows = rows.map(_OnItem(function, os.getcwd()), num_cpus=1)
    if actor is not None:
        resources = {"num_gpus": 1} if gpus() else {"num_cpus": 0}
        pool = ray.data.ActorPoolStrategy(size=actors)
        rows = rows.map(_actor(actor, arguments), compute=pool, **resources)
    try:
        for row in rows.iter_rows():
            yield row["item"].value
    except ray.exceptions.RayError as error:
        raise _refusal(error) from error


@dataclasses.dataclass(frozen=True)
class _Held:
    """Wraps a value as one cell of a Ray Data table, which would take dictionaries, lists and arrays apart."""

    value: object


class _OnItem:
    """Turns a function of an item into a function of a row; an InputError in it ends the run with that sentence."""

    def __init__(self, function: Callable, folder: str):
        self._function = function
        self._folder = folder
        # Ray Data takes a name from here.
        self.__name__ = getattr(function, "__name__", "task")

    def __call__(self, row: dict) -> dict:
        # TensorFlow would take all memory of a GPU that belongs to an actor.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        try:
            os.chdir(self._folder)
        except OSError as error:
            raise InputError(
                f"{self._folder}: is no folder on one of the cluster's machines; work in one that all machines share."
            ) from error
        return {"item": _Held(self._function(row["item"].value))}


def _actor(made: type, arguments: Iterable) -> type:
    """Wraps a class as a Ray Data actor that carries its arguments, since Ray may lose those passed to itself."""

    class Actor:
        def __init__(self):
            self._call = made(*arguments)

        def __call__(self, row: dict) -> dict:
            return {"item": _Held(self._call(row["item"].value))}

    return Actor


def _refusal(error: Exception) -> InputError:
    """The InputError raised in a worker, if that ended the run."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return InputError(str(cause))
        cause = getattr(cause, "cause", None) or cause.__cause__
    found = re.search(r"InputError: (.+?)\s*$", str(error), re.MULTILINE)
    if found:
        return InputError(found.group(1))
    return InputError(f"--engine ray: Ray could not go on ({first_line(error)}); run the same command again.")
