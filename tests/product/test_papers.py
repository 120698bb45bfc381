"""What all papers have in common: defaults, rows that are one configuration each, refusals in one sentence."""

import dataclasses
import itertools
import json
import shlex

import pytest

import attendfusion.tables
import attendfusion.train
import ave.match.train
import ave.tables
import ave.train
import eventlayers.tables
import eventlayers.train
import jca.config
import jca.tables
import jca.train
import mafnet.sweep
import mafnet.tables
import mafnet.train
from avpipeline.results import papers
from tests.helpers.commands import refused, run_command

TRAIN = {module.PAPER.name: module for module in (ave.train, jca.train, mafnet.train, attendfusion.train)}
PAPERS = {name: module.PAPER for name, module in TRAIN.items()}
MODELS = [
    (name, model, preset)
    for name, paper in PAPERS.items()
    for model in paper.config.MODELS
    for preset in paper.config.PRESETS
]


@pytest.mark.parametrize(("paper", "model", "preset"), MODELS)
def test_defaults_follow_model_preset_and_dataset(paper, model, preset):
    config, words = PAPERS[paper].config, ["--model", model, "--preset", preset]
    real = PAPERS[paper].defaults([*words, "--data", "somewhere"])
    expected = {"attendfusion": "youtube8m"}.get(paper, "ave")
    assert (real.dataset, real.model, real.preset) == (expected, model, preset)
    assert real.training == config.train_config(preset, model)
    assert real.network == config.model_config(model, preset)
    here = PAPERS[paper].defaults(words)
    assert (here.dataset, here.model, here.preset) == ("rendered", model, preset)
    assert here.training.batch_size == 16 and here.training.epochs <= 60
    assert here.training == dataclasses.replace(real.training, **config.RENDERED_TRAINING)
    assert here.network == dataclasses.replace(real.network, **config.RENDERED_MODEL)


@pytest.mark.parametrize("module", [*TRAIN.values(), eventlayers.train], ids=lambda module: module.PAPER.name)
def test_unknown_model_lists_the_models(module, capsys):
    assert run_command(module, "--model", "av_attt") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(name in said for name in module.PAPER.config.MODELS)


def configurations(paper: str, preset: str) -> dict[tuple[str, str], str]:
    """(table, row) -> everything that decides its numbers; the model's name does not."""
    rows = {place: (PAPERS[paper], model) for place, model in PAPERS[paper].config.ROWS.items()}
    if paper == "jca":
        rows |= {place: (ave.train.PAPER, model) for place, model in jca.config.AVE_ROWS.items()}
    found = {}
    for place, (trainer, model) in rows.items():
        own = trainer.settings_for(model, preset, trainer.data_default)
        start = ave.tables.STARTS_FROM.get(model) if paper == "ave" else None
        found[place] = json.dumps([dataclasses.asdict(own.network), dataclasses.asdict(own.training), start])
    return found


@pytest.mark.parametrize(("paper", "preset"), sorted({(paper, preset) for paper, _, preset in MODELS}))
def test_no_two_rows_are_secretly_one_configuration(paper, preset):
    shared = {place: other for place, (other, _) in PAPERS[paper].config.SHARED.items()}
    for (first, one), (second, other) in itertools.combinations(configurations(paper, preset).items(), 2):
        assert (one == other) == (shared.get(first, first) == shared.get(second, second)), (first, second)


@pytest.mark.parametrize("paper", PAPERS)
def test_rows_that_the_paper_gives_one_system_have_one_result(paper):
    def results(place):
        return {one.dataset: one.value for one in papers.rows(paper) if (one.table, one.row) == place}

    for place, (other, reason) in PAPERS[paper].config.SHARED.items():
        both = results(place).keys() & results(other).keys()
        assert both
        if place != ("Supplement Table 3", "V-att"):  # the paper's own inconsistency: 58.5 there, 58.6 in Table 1
            assert all(results(place)[dataset] == results(other)[dataset] for dataset in both)
        assert reason


@pytest.mark.parametrize(
    ("paper", "model", "rows"),
    [
        ("ave", "av_att", [("Table 1", "A+V-att"), ("Table 2", "Concat late")]),
        ("ave", "w_av", [("Table 1", "W-A+V")]),
        ("ave", "gmb_decision", [("Table 2", "GMB decision")]),
        ("ave", "dmrfe", [("Table 2", "DMRFE late")]),
        ("jca", "jca", [("Table 1", "JCA"), ("Table 2", "w/ Joint Co-Attention")]),
        ("mafnet", "mafnet", [("Table 1", "MAFnet"), ("Table 4", "FiLM in audio path")]),
        ("mafnet", "concatenation", [("Table 2", "concatenation"), ("Table 3", "modality & temporal attention")]),
        ("mafnet", "dmrn_vgg", [("Table 1", "DMRN (their feat.)")]),
    ],
)
def test_each_model_names_its_rows(paper, model, rows):
    assert PAPERS[paper].rows_of(model) == rows


NO_FOLDER = ("--data nowhere --dataset rendered", "nowhere: synthetic clips are generated on this machine")
BAD_INPUT = {
    ave.train: [
        NO_FOLDER,
        ("--data nowhere", "nowhere"),
        ("--dataset ave", "needs the folder of its files (--data)"),
    ],
    ave.match.train: [
        NO_FOLDER,
        ("--data nowhere", "nowhere"),
        ("--dataset ave", "needs the folder of its files (--data)"),
        ("--model dcca --margin 1", "--margin: is a setting of avdln, not of dcca"),
        ("--regularisation 1", "--regularisation: is a setting of dcca, not of avdln"),
    ],
    ave.tables: [("--table 'Table 1' --rows 'MP late'", "row 'MP late': is not in Table 1; its rows are A, V, V-att")],
    jca.train: [
        NO_FOLDER,
        ("--data nowhere", "nowhere"),
        ("--dataset ave", "needs the folder of its files (--data)"),
        ("--epochs 0", "--epochs 0: must be a whole number from 1 to 1000000"),
        ("--recursions -1", "--recursions -1: must be a whole number from 0 to 1000000"),
        ("--video-size 7", "--video-size 7: must be even"),
        ("--dropout 1", "--dropout 1.0: must be a finite number from 0 to below 1"),
        ("--plateau-factor 1", "--plateau-factor 1.0: must lower the learning rate"),
    ],
    jca.tables: [
        NO_FOLDER,
        ("--table 'Table 3'", "jca has no table 'Table 3'; its tables are"),
        ("--table 'Table 1' --rows 'w/ GRU'", "row 'w/ GRU': is not in Table 1; its rows are Audio_Only"),
    ],
    mafnet.train: [
        NO_FOLDER,
        ("--data nowhere", "nowhere"),
        ("--dataset ave", "needs the folder of its files (--data)"),
        ("--dataset ucf51 --data nowhere", "nowhere"),
        ("--prob-all 0.9 --prob-image 0.2", "are not shares of the steps"),
        ("--prob-all -0.1", "--prob-all -0.1: must be a finite number from 0 to 1"),
        ("--patience 0", "--patience 0: must be a whole number from 1 to 1000000"),
        ("--epochs 0", "--epochs 0: must be a whole number from 1 to 1000000"),
    ],
    mafnet.tables: [NO_FOLDER, ("--table 'Table 1' --rows MCB", "row 'MCB': is not in Table 1")],
    mafnet.sweep: [
        NO_FOLDER,
        ("--rates 1.5", "--rates (1.5,): must be a list of which each is a finite number from 0 to 1"),
        ("--rates 0.1 0.1", "--rates: needs at least one rate and no rate twice"),
        ("--data nowhere", "nowhere/Annotations.txt: no such file"),
    ],
    attendfusion.train: [
        NO_FOLDER,
        ("--data nowhere", "nowhere: has no train*.tfrecord"),
        ("--dataset youtube8m", "needs the folder of its files (--data)"),
    ],
    attendfusion.tables: [
        ("--table 'Table 1' --rows 'FC Middle'", "row 'FC Middle': is not in Table 1; its rows are FC Audio")
    ],
    eventlayers.train: [
        ("--data nowhere", "nowhere: synthetic clips are generated on this machine"),
        ("--dataset vggsound", "dataset 'vggsound': needs the folder of its files (--data)"),
        ("--dataset vggsound --data nowhere", "nowhere"),
    ],
    eventlayers.tables: [
        ("--data somewhere", "somewhere: synthetic clips are generated on this machine"),
        ("--rows 'Naive AV top-9'", "row 'Naive AV top-9': is not in Table 1, Table 2, Table 3, Table 4"),
        ("--dataset ave", "dataset 'ave': needs the folder of its files (--data)"),
    ],
}


@pytest.mark.parametrize(
    ("module", "words", "sentence"),
    [
        pytest.param(module, words, sentence, id=f"{module.__name__} {words}")
        for module, cases in BAD_INPUT.items()
        for words, sentence in cases
    ],
)
def test_bad_input_is_one_sentence(module, words, sentence, capsys, tmp_path):
    out = tmp_path / "out"
    refused(module, [*shlex.split(words), "--out", out], sentence, capsys, out)
