"""settings.yaml and --config: a run's options, written, read and parsed again, are the same settings."""

import importlib
import typing

import pytest

from avpipeline.cli import run
from avpipeline.cli.options_file import write_options
from tests.helpers.imports import PAPERS

# Options whose values have every form: a number, a text, a list, a flag that is off, none at all.
GIVEN = {
    "ave": [
        "--model=dmrn",
        "--no-noisy",
        "--tcn-filters",
        "32",
        "16",
        "--first-validation=None",
        "--data=D",
        "--dataset=ave",
    ],
    "ave.match": ["--model=dcca", "--epochs=3", "--out=O"],
    "mafnet": [
        "--dataset=kinetics_sounds",
        "--data=D",
        "--classes=34",
        "--update-sequence",
        "image",
        "sound",
        "--preset=paper",
    ],
    "jca": ["--model=gru", "--recursions=2", "--precision=bfloat16", "--no-deterministic", "--seeds=2", "--seed=7"],
    "attendfusion": [
        "--skip-corrupt",
        "--width=64",
        "--learning-rate=2e-4",
        "--data=D",
        "--vocabulary=V",
        "--f1-threshold=0.3",
    ],
    "eventlayers": [
        "--inputs=clips",
        "--dataset=vggsound",
        "--data=D",
        "--clips=C",
        "--precision=float16",
        "--clips-at-once=2",
    ],
}


def parsed(paper, words):
    """The settings that the training command takes from a command line."""
    module = importlib.import_module(f"{paper}.train")
    seen = []

    def main(settings):
        seen.append(settings)

    main.__annotations__ = typing.get_type_hints(module.main, include_extras=True)
    assert run(main, prog="it", argv=words, defaults=module.PAPER.defaults) == 0
    return module.PAPER, seen[0]


@pytest.mark.parametrize("paper", ["ave.match", *PAPERS])
def test_the_file_of_a_run_starts_it_again(paper, tmp_path):
    path = tmp_path / "settings.yaml"
    for words in ([], GIVEN[paper]):
        made, settings = parsed(paper, words)
        write_options(path, made.options(settings))
        assert parsed(paper, ["--config", str(path)])[1] == settings
    assert len(set(GIVEN[paper])) > 1 and settings != parsed(paper, [])[1]


def test_the_command_line_wins(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: dmrn\nepochs: 7\nnoisy: false\nbatch_size: 8\nlearning-rate: 1e-4\n")
    _, settings = parsed("ave", [f"--config={path}", "--epochs", "3", "--noisy"])
    training = settings.training
    assert (settings.model, settings.noisy, training.epochs, training.batch_size) == ("dmrn", True, 3, 8)
    assert training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense: 1", "nonsense: is no option of this command; --help-all lists them."),
        ("import: mine.py", "import: is no option of this command"),
        ("config: other.yaml", "config: is no option of this command"),
        ("epochs: {a: 1}", "epochs: has no plain value"),
        ("epochs: 2020-01-01", "epochs: has no plain value"),
        ("- epochs", "is no YAML file of options"),
        ("1: 2", "is no YAML file of options"),
        ("a: b: c", "is no YAML file of options (mapping values are not allowed here)"),
        ("epochs: !!python/object/apply:os.system [exit]", "is no YAML file of options"),
        ("epochs: " + 20000 * "[", "is no YAML file of options"),
        ("#" + (1 << 18) * " ", "is larger than such a file ever is"),
        ("epochs: many", "--epochs many: must be a whole number"),
        ("epochs: 0", "--epochs 0: must be a whole number from 1"),
        ("epochs: true", "--epochs"),
        ("model: nosuch", "invalid choice 'nosuch'"),
        (None, "there is no such file"),
    ],
)
def test_a_wrong_file_is_one_sentence(text, said, tmp_path, capsys):
    path, train = tmp_path / "mine.yaml", importlib.import_module("ave.train")
    if text is not None:
        path.write_text(text)
    assert run(train.main, prog="it", argv=["--config", str(path)], defaults=train.PAPER.defaults) == 2
    error = capsys.readouterr().err
    assert error.startswith("it: error: ") and said in error and error.count("\n") == 1, error


@pytest.mark.parametrize(
    ("words", "said"), [(["--config"], "needs a file"), (["--config=a", "--config=b"], "is given 2 files; give one")]
)
def test_it_is_given_once_with_a_file(words, said, capsys):
    train = importlib.import_module("ave.train")
    assert run(train.main, prog="it", argv=words, defaults=train.PAPER.defaults) == 2
    assert said in capsys.readouterr().err
