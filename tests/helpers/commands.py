"""Commands as a user starts them, in this process."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from avpipeline import cli
from avpipeline.errors import InputError


def _prog(module: ModuleType) -> str:
    return f"python -m {module.__name__.removesuffix('.__main__')}"


def run_command(module: ModuleType, *words) -> int:
    """Runs the command of a module, e.g. `ave.train`, with words of any type; returns its exit status."""
    follow = {"defaults": module.PAPER.defaults} if module.__name__.endswith(".train") else {}
    return cli.run(module.main, prog=_prog(module), argv=list(map(str, words)), **follow)


def refused(module: ModuleType, words: Sequence, sentence: str, capsys, out: Path) -> str:
    """Asserts that a command refuses `words` in one sentence that holds `sentence`, and never made `out`.

    Returns:
      what it said.
    """
    assert run_command(module, *words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith(f"{_prog(module)}: error: ") and said.count("\n") == 1
    assert not out.exists()
    return said


def no_picture(*_) -> None:
    """Stands for a function that draws and fails."""
    raise InputError("no picture can be drawn.")


def told_before_pictures(predict: ModuleType, clip: Path, weights, out: Path, capsys) -> None:
    """Asserts that a predict command whose pictures fail (`no_picture`) has printed and stored its text before."""
    assert run_command(predict, clip, "--weights", weights, "--out", out) == 2
    printed = capsys.readouterr()
    assert "no picture can be drawn." in printed.err and (out / f"{clip.stem}.json").exists()
    assert printed.out == (out / f"{clip.stem}.txt").read_text() + "\n"
