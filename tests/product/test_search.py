"""docs/sharing.md, "Search for hyperparameters": the script as it is written there, with a stand-in for Optuna."""

import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.helpers.few_clips import rendered_defaults
from tests.helpers.imports import ROOT

PAGE = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
RATES = (1e-3, 5e-3, 1e-4)


@pytest.mark.trained
def test_the_script_searches_on_validation(tmp_path, monkeypatch, capsys):
    scores = []

    class Study:
        best_params = "the best of them"

        def optimize(self, objective, n_trials):
            assert n_trials == len(RATES)
            for number, rate in enumerate(RATES):
                trial = SimpleNamespace(number=number, suggest_float=lambda name, low, high, log, rate=rate: rate)
                scores.append(objective(trial))

    optuna = ModuleType("optuna")
    optuna.create_study = lambda direction: Study() if direction == "maximize" else None
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"<!-- search.py -->\n```python\n(.*?)```", PAGE, re.S)
    with rendered_defaults(train=10, val=4, test=4):
        exec(compile(script, "search.py", "exec"), {})
    results = [json.loads((tmp_path / f"runs/search/{number}/result.json").read_text()) for number in range(3)]
    assert scores == [result["seeds"][0]["val"] for result in results]
    assert [result["settings"]["training"]["learning_rate"] for result in results] == list(RATES)
    assert "the best of them" in capsys.readouterr().out
