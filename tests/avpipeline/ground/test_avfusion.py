"""The installed script: `avfusion PAPER COMMAND ...`."""

import configparser
import importlib
import sys

import pytest

from avpipeline import __version__
from avpipeline.cli.avfusion import commands, main
from tests.helpers.imports import ROOT


def test_setup_names_the_script():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    module, _, name = config["options.entry_points"]["console_scripts"].split("=")[1].strip().partition(":")
    assert getattr(importlib.import_module(module), name) is main


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("ave train", "ave.train"),
        ("ave match", "ave.match"),
        ("ave match predict", "ave.match.predict"),
        ("avpipeline extract", "avpipeline.extract"),
        ("avfusion_benchmarks", "avfusion_benchmarks"),
    ],
)
def test_it_runs_the_command(words, command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["avfusion"])
    assert commands()[tuple(words.split())] == command
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), "--version"])
    assert (stop.value.code, capsys.readouterr().out) == (0, f"python -m {command} {__version__}\n")


def test_it_lists_the_commands_and_refuses_others(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "  avfusion mafnet tsne\n" in said and "  avfusion jca tables\n" in said
    assert main(["ave", "tarin"]) == 2
    assert capsys.readouterr().err == "avfusion: error: ave tarin: there is no such command; avfusion lists them.\n"
