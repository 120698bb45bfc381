"""The exceptions that a user should ever see."""

import re
from collections.abc import Container


class InputError(ValueError):
    """Something the user provided cannot be used.

    The message is one sentence that names the file or setting, what is wrong and what to do. Commands print it
    and exit with status `exit_status`; in a notebook it is an ordinary ValueError.
    """

    exit_status = 2


class TrainingDiverged(InputError):
    """The loss of a training run became NaN or infinite; the weights selected before are kept."""

    exit_status = 1


def require_free(name: str, taken: Container[str], kind: str) -> None:
    """Raises InputError unless `name` is valid and still free for a new model, dataset, ..."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError(f"{kind} '{name}': its name must be of letters, digits, - and _; choose another.")
    if name in taken:
        raise InputError(f"{kind} '{name}': there is one of this name; choose another.")
