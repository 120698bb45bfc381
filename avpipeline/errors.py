"""The one exception that a user should ever see."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file, what is wrong and what to do. Command lines print it
    and exit with status 2; in a notebook it is an ordinary ValueError.
    """
