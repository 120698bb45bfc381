"""How every command of the project starts, fails and ends."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence

import tyro

from avpipeline import __version__
from avpipeline.errors import InputError
from avpipeline.files import write_failure


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
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--version" in argv:
        print(f"{prog} {__version__}")
        return 0
    settings_class = next(value for name, value in main.__annotations__.items() if name != "return")
    description = (main.__doc__ or "").strip()
    settings = tyro.cli(
        settings_class,
        prog=prog,
        description=f"{description}\n\n--version prints the version.",
        args=argv,
        **({"default": defaults(argv)} if defaults else {}),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    try:
        return int(main(settings) or 0)
    except InputError as error:
        return _fail(prog, str(error))
    except KeyboardInterrupt:
        _fail(prog, "interrupted; finished work is kept, and the same command resumes from there.")
        return 130
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        if isinstance(error, FileNotFoundError):
            return _fail(prog, f"{error.filename}: there is no such file or folder; check the path.")
        return _fail(prog, str(write_failure(error.filename or "output", error)))
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        return _fail(prog, sentence)


def chosen(argv: Sequence[str], **defaults: str | None) -> dict[str, str | None]:
    """The values that `argv` gives to a few flags on which the defaults of other flags depend.

    A preset, for example, decides many defaults: it is read first, then the whole command line is parsed.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", default=default)
    return vars(parser.parse_known_args(list(argv))[0])


def sentence_of(error: Exception) -> str | None:
    """The message of an InputError that TensorFlow re-raised from a tf.data function, or None."""
    match = re.search(r"InputError: (.+?)\]?\s*$", str(error), re.MULTILINE)
    return match.group(1).strip() if match else None


def _fail(prog: str, sentence: str) -> int:
    print(f"{prog}: error: {sentence}", file=sys.stderr)
    return 2
