"""Models, fusion methods and datasets that a user's own file registers, named on the command line by --import."""

import importlib
import sys

import keras
import numpy as np
import pytest

import attendfusion.models
import ave.fusion
import ave.models
import eventlayers.models
import jca.models
import mafnet.models
from avpipeline import datasets, validate
from avpipeline.cli import run
from avpipeline.datasets.video_lists import VideoList
from avpipeline.errors import InputError
from avpipeline.training.saved import load_model
from tests.helpers.imports import PAPERS
from tests.helpers.mafnet_data import NARROW
from tests.helpers.video_files import SECONDS, write_shards

NETWORKS = {
    "ave": (ave.models.av_att, {"num_segments": 2}),
    "mafnet": (mafnet.models.mafnet, NARROW),
    "jca": (jca.models.ablation, {"num_segments": 2}),
    "attendfusion": (attendfusion.models.network_of_blocks, {"width": 8, "num_classes": 5}),
    "eventlayers": (eventlayers.models.network_of_heads, {"num_classes": 3}),
}

HEADLINES = {
    "ave": "av_att",
    "mafnet": "mafnet",
    "jca": "jca",
    "attendfusion": "attend_fusion",
    "eventlayers": "event_layers",
}


@pytest.fixture(autouse=True)
def forgotten():
    """What a test registers is forgotten after it."""
    tables = [ave.config.FUSIONS, ave.fusion.FUSIONS, datasets.DATASETS, datasets.VIDEO_DATASETS, datasets.REGISTERED]
    tables += [datasets._LISTS, datasets._SEGMENTS]
    for paper in PAPERS:
        config = importlib.import_module(f"{paper}.config")
        tables += [config.MODELS, config.OWN.differences, config.OWN._functions]
    before = [dict(table) for table in tables]
    modules = set(sys.modules)
    yield
    for table, earlier in zip(tables, before, strict=True):
        table.clear()
        table.update(earlier)
    for name in {name for name in sys.modules if name.startswith("mine")} - modules:
        del sys.modules[name]


@pytest.mark.parametrize("paper", PAPERS)
def test_each_paper_takes_a_model_with_a_function_of_its_own(paper):
    package, (network, sizes) = importlib.import_module(paper), NETWORKS[paper]
    configs = []

    @package.register_model("mine")
    def mine(config):
        configs.append(config)
        return network(config, "of a function")

    model = package.build_model("mine", **sizes)
    assert model.name == "of a function" and "mine" in package.MODELS
    assert configs == [package.model_config(HEADLINES[paper], **sizes)]

    @package.register_model("other")
    def other(config):
        x = keras.Input((3,), name="thermal")
        return keras.Model({"thermal": x}, keras.layers.Dense(2)(x))

    with pytest.raises(
        InputError, match=r"^model 'other': has the input thermal \(None, 3\), a model with its settings"
    ):
        package.build_model("other", **sizes)


def test_a_name_with_settings_alone():
    ave.register_model("small", lstm_units=4, visual="mean")
    assert ave.model_config("small") == ave.model_config("av", lstm_units=4)
    ave.register_model("nothing")(lambda config: None)
    with pytest.raises(InputError, match="model 'nothing': its function returned NoneType; return a keras.Model."):
        ave.build_model("nothing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import ave\nave.register_model('av_att')", ", line 2: model 'av_att': there is one of this name; choose"),
        ("import ave\nave.register_model('a b')", "model 'a b': its name must be of letters, digits, - and _"),
        ("import ave\nave.register_model('x', colour=1)", "--colour: is no setting; choose from"),
        ("import ave\nave.register_model('x', lstm_units=0)", "--lstm-units 0: must be a whole number from 1"),
        ("import ave\nave.register_fusion('gmu')", "fusion method 'gmu': there is one of this name"),
        (
            "from avpipeline.datasets import register_dataset\nregister_dataset('ucf51')",
            "dataset 'ucf51': there is one",
        ),
        ("\n\nnonsense", ", line 3: NameError: name 'nonsense' is not defined; correct the file."),
        ("def f(:", "SyntaxError: "),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_wrong_file_is_one_sentence(text, said, tmp_path, capsys):
    path, train = tmp_path / "mine_wrong.py", importlib.import_module("ave.train")
    path.write_text(text)
    assert run(train.main, prog="it", argv=["--import", str(path)], defaults=train.PAPER.defaults) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"it: error: {path}") and said in error and error.count("\n") == 1, error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--import", "nothing.py"], "--import nothing.py: is no Python file; give the path of a .py file."),
        (["--import=setup.cfg"], "is no Python file"),
        (["--import"], "--import: needs a file"),
        (["--import", "--epochs"], "--import: needs a file"),
        (["--import", "{}/json.py"], "its name is that of another module"),
        (["--model", "mine"], "invalid choice 'mine' for argument '--model'"),
        (["--model", "mine"], "one of your own needs --import and its file"),
        (["--dataset", "mine"], "one of your own needs --import and its file"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(words, said, tmp_path, capsys):
    (tmp_path / "json.py").write_text("raise ValueError")
    train = importlib.import_module("ave.train")
    words = [word.format(tmp_path) for word in words]
    assert run(train.main, prog="it", argv=words, defaults=train.PAPER.defaults) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1, error


def test_a_layer_of_a_file_of_ones_own_needs_that_file(tmp_path, capsys):
    """The message of a model that is loaded without it; nothing in the model file is imported."""
    evaluate = importlib.import_module("ave.evaluate")
    from avpipeline.features.info import FeatureInfo
    from avpipeline.training.saved import ModelInfo, save_model

    (tmp_path / "mine_layer.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('mine')\nclass Double(keras.layers.Layer):\n"
        "    def call(self, x):\n        return 2 * x\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        Double = importlib.import_module("mine_layer").Double
    finally:
        sys.path.remove(str(tmp_path))
    x = keras.Input((2, 3), name="audio")
    info = ModelInfo(
        "ave", "mine", "code", ("a",), {"audio": FeatureInfo("x", "y", "none", "ab" * 32, (3,))}, "rendered"
    )
    path = save_model(keras.Model({"audio": x}, Double()(x)), tmp_path / "model.keras", info)
    del sys.modules["mine_layer"], keras.saving.get_custom_objects()["mine>Double"]
    assert run(evaluate.main, prog="it", argv=["--weights", str(path)]) == 2
    assert "or give the file of your own that has it (--import)." in capsys.readouterr().err
    assert "mine_layer" not in sys.modules
    words = ["--weights", str(path), "--import", str(tmp_path / "mine_layer.py"), "--data", str(tmp_path)]
    assert run(evaluate.main, prog="it", argv=words) == 2
    # The model is loaded now; the next step misses the data.
    assert str(tmp_path) in capsys.readouterr().err and load_model(path)[1].model == "mine"
    del keras.saving.get_custom_objects()["mine>Double"]


def test_a_dataset_with_labels_of_seconds(tmp_path, capsys):
    ids = [f"{split}{number}" for split in ("train", "val", "test") for number in (0, 1)]
    write_shards(tmp_path, ids)
    labels = np.zeros((2, SECONDS, 3))
    labels[0, :, 2] = labels[1, 2:, 2] = labels[1, :2, 1] = 1

    @datasets.register_dataset("mine", segments=True)
    def read(folder, name):
        own = tuple(clip for clip in ids if clip.startswith(name))
        return VideoList("ave", name, own, ("cat", "dog", "background"), labels)

    split = datasets.load_split("mine", "val", tmp_path, modalities=["audio"])
    assert (split.dataset, split.ids, split.labels.tolist()) == ("mine", ("val0", "val1"), labels.tolist())
    assert datasets.load_weak_training("mine", tmp_path).labels.tolist() == [[0, 0, 1], [0, 1, 0]]
    whole = datasets.load_video_split("mine", "test", tmp_path)
    assert (whole.ids, whole.class_names, whole.labels.tolist()) == (("test1",), ("cat", "dog"), [[0, 1]])
    assert run(validate.main, prog="it", argv=["mine", str(tmp_path)]) == 0
    assert "mine, train: 1 videos of 2 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda folder, name: None, "dataset 'mine': its function returned NoneType; return a VideoList."),
        (
            lambda folder, name: VideoList("mine", name, ("a",), ("x", "y"), np.zeros((1, 3))),
            r"'mine': has 1 videos, 2 class names and labels of shape \(1, 3\); labels must be \(videos, classes\).",
        ),
    ],
)
def test_a_wrong_list_is_one_sentence(made, said, tmp_path):
    datasets.register_dataset("mine")(made)
    with pytest.raises(InputError, match=said):
        datasets.load_video_split("mine", "train", tmp_path)
