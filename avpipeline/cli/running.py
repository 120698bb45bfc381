"""How every command starts, fails and ends."""

import argparse
import dataclasses
import os
import re
import signal
import sys
import threading
import typing
from collections.abc import Callable, Sequence

from avpipeline import __version__
from avpipeline.cli.importing import without_imports
from avpipeline.cli.options_file import with_file
from avpipeline.cli.parsing import HELP_ALL, parsed, require_numbers, show_help
from avpipeline.cli.ranges import check_ranges
from avpipeline.errors import InputError
from avpipeline.files import first_line, write_failure


def run(
    main: Callable,
    *,
    prog: str,
    argv: Sequence[str] | None = None,
    defaults: Callable[[list[str]], object] | None = None,
) -> int:
    """Runs `main`, whose one argument is a settings dataclass, from the command line; returns the exit status.

    Flags, defaults and help are generated from the dataclass, so that every setting is declared once. An
    `InputError` (including one raised inside tf.data) becomes one sentence on stderr and status 2.

    Args:
      main: function of one dataclass, or of a union (`Check | Write`: one subcommand each); its docstring is the
        description that --help shows.
      prog: name shown in help and errors, e.g. `"python -m ave.train"`.
      argv: command-line arguments; None takes those of the process.
      defaults: `argv` -> default settings, where some defaults depend on other flags (see `chosen`).
    """
    from_shell = argv is None
    argv = list(sys.argv[1:] if from_shell else argv)
    if from_shell and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _interrupt)
    if "--version" in argv:
        print(f"{prog} {__version__}")
        return 0
    if "" in argv:
        # As a path, an empty value would mean the current folder.
        before = argv[argv.index("") - 1] if argv.index("") else "the first argument"
        return _fail(prog, f"{before}: has an empty value; give one, or leave the option out.")
    hints = typing.get_type_hints(main, include_extras=True)
    settings_class = next(value for name, value in hints.items() if name != "return")
    try:
        argv = without_imports(argv)
        if dataclasses.is_dataclass(settings_class):
            argv = with_file(argv, settings_class)
        default = defaults(argv) if defaults else None
        if {"-h", "--help", HELP_ALL}.intersection(argv):
            show_help(main, settings_class, default, prog=prog, argv=argv)
            return 0
        require_numbers(settings_class, argv)
        settings = parsed(settings_class, default, prog=prog, argv=argv)
        check_ranges(settings)
        return int(main(settings) or 0)
    except KeyboardInterrupt:
        return _ended(prog, from_shell)
    except Exception as error:
        if _RECEIVED:
            # If compiled code is interrupted while it is imported, it raises some other exception.
            return _ended(prog, from_shell)
        sentence = _told(error)
        if sentence is None:
            raise
        return _fail(prog, sentence, getattr(error, "exit_status", 2))


def _told(error: Exception) -> str | None:
    """What a user is told of an exception; None for a mistake in the program, which keeps its traceback."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename}: there is no such file or folder; check the path."
    if isinstance(error, OSError) and (error.filename or error.errno):
        return str(write_failure(error.filename or "output", error))
    if isinstance(error, ModuleNotFoundError) and error.name == "tensorflow":
        return "needs TensorFlow, which is not installed here; docs/backends.md says what runs without it."
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"the memory does not suffice ({first_line(error)}); choose smaller layers or batches."
    return sentence_of(error)


# The signals that have interrupted this process, whatever exceptions they turned into.
_RECEIVED: list[int] = []


def _interrupt(number: int, frame) -> None:
    """Ends a command by SIGTERM as by Ctrl-C."""
    _RECEIVED.append(number)
    raise KeyboardInterrupt


def _ended(prog: str, from_shell: bool) -> int:
    """Ends an interrupted command in one line."""
    status = 128 + (_RECEIVED[0] if _RECEIVED else signal.SIGINT)
    _fail(prog, "interrupted; finished work is kept, and the same command resumes from there.")
    if from_shell:
        # TensorFlow's threads have been seen to hang in the interpreter's own exit for good.
        sys.stdout.flush()
        os._exit(status)
    return status


def chosen(argv: Sequence[str], **defaults: str | None) -> dict[str, str | None]:
    """The values that `argv` gives to a few flags on which the defaults of other flags depend.

    A preset, for example, decides many defaults: it is read first, then the whole command line is parsed.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        # A flag without its value is left to the parser of the whole command line, which says so.
        parser.add_argument(f"--{name}", default=default, const=default, nargs="?")
    found = vars(parser.parse_known_args(list(argv))[0])
    return {name: None if value == "None" else value for name, value in found.items()}


def sentence_of(error: Exception) -> str | None:
    """The message of an InputError that TensorFlow re-raised from a tf.data function, or None."""
    match = re.search(r"InputError: (.+?)\]?\s*$", str(error), re.MULTILINE)
    return match.group(1).strip() if match else None


def _fail(prog: str, sentence: str, status: int = 2) -> int:
    print(f"{prog}: error: {sentence}", file=sys.stderr, flush=True)
    return status
