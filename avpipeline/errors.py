"""The exceptions that a user should ever see."""


class InputError(ValueError):
    """Something the user provided cannot be used.

    The message is one sentence that names the file or setting, what is wrong and what to do. Commands print it
    and exit with status `exit_status`; in a notebook it is an ordinary ValueError.
    """

    exit_status = 2


class TrainingDiverged(InputError):
    """The loss of a training run became NaN or infinite; what was selected before is kept."""

    exit_status = 1
