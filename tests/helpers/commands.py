"""Commands as a user starts them, in this process."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from avpipeline import cli


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


def told_before_pictures(predict: ModuleType, words: Sequence, out: Path, stem: str, picture: str, capsys) -> None:
    """Asserts that a predict command that cannot write a picture has printed and stored its text before.

    Args:
      words: of the command, without `--out`.
      stem: of the text and the JSON file.
      picture: name of the first picture, which finds a folder in its place.
    """
    (out / picture).mkdir(parents=True)
    assert run_command(predict, *words, "--out", out) == 2
    printed = capsys.readouterr()
    assert f"{out / picture}: cannot be written" in printed.err and (out / f"{stem}.json").exists()
    assert printed.out == (out / f"{stem}.txt").read_text() + "\n"
