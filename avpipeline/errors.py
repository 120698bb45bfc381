"""The one exception that a user should ever see."""


class InputError(ValueError):
    """Something the user provided cannot be used.

    The message is one sentence that names the file or setting, what is wrong and what to do. Commands print it
    and exit with status 2; in a notebook it is an ordinary ValueError.
    """
