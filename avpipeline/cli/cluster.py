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

from avpipeline.cli.running import sentence_of
from avpipeline.errors import InputError
from avpipeline.files import first_line, is_cut_url

EngineName = Literal["local", "ray"]

# Not `ray health-check`, which sends no token, so that a cluster made by `ray start` refuses it.
_PROBE = "import sys, logging, ray; ray.init(sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)"
_PATIENCE = 60
_ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_ATTEMPTS = 3
_QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}
# More items than this are grouped, since Ray keeps a list of all tasks.
MOST_TASKS = 2000


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


def require_folders(places: Iterable[Path], role: str) -> None:
    """Raises InputError for a URL, which would otherwise be taken for the name of a local folder."""
    for place in filter(is_cut_url, places):
        raise InputError(
            f"{place}: {role} in folders alone, not at URLs (s3://, gs://, hdfs://, ...); mount the storage as a "
            "folder that all machines see, and name that."
        )


def mapped(
    function: Callable, items: Sequence, *, actor: Callable[[], Callable] | None = None, actors: int | None = None
) -> Iterator:
    """Yields `function(item)` for each item in order, computed by one-CPU tasks in the command's working directory.

    Args:
      actor: makes an object that is called with each result of `function`; its results are returned then. Each
        object has a GPU to itself where the cluster has any.
      actors: number of these objects on a cluster without GPUs; None takes one a machine.

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
    rows = ray.data.from_items(held, override_num_blocks=min(len(items), MOST_TASKS))
    rows = rows.map(_task(function), num_cpus=1)
    if actor is not None:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        size = gpus or actors or sum(node["Alive"] for node in ray.nodes())
        pool = ray.data.ActorPoolStrategy(size=min(size, len(items)))
        rows = rows.map(_actor(actor), compute=pool, **({"num_gpus": 1} if gpus else {"num_cpus": 0}))
    try:
        for row in rows.iter_rows():
            yield row["item"].value
    except ray.exceptions.RayError as error:
        raise _refusal(error) from error


@dataclasses.dataclass(frozen=True)
class _Held:
    """Wraps a value as one cell of a Ray Data table, which would take dictionaries, lists and arrays apart."""

    value: object


def _task(function: Callable) -> Callable[[dict], dict]:
    """A function of an item as one of a row; an InputError in it ends the run with that sentence."""
    folder = os.getcwd()

    def task(row: dict) -> dict:
        # TensorFlow would take all memory of a GPU that belongs to an actor.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        try:
            os.chdir(folder)
        except OSError as error:
            raise InputError(
                f"{folder}: is no folder on one of the cluster's machines; work in one that all machines share."
            ) from error
        return {"item": _Held(function(row["item"].value))}

    return task


def _actor(make: Callable[[], Callable]) -> type:
    """A Ray Data actor that carries what makes its object, since Ray may lose arguments passed to itself."""

    class Actor:
        def __init__(self):
            self._call = make()

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
    ended = f"--engine ray: Ray could not go on ({first_line(error)}); run the same command again."
    return InputError(sentence_of(error) or ended)
