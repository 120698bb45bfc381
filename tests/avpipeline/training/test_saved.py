"""Saved models: what comes back, and one sentence for every file that cannot be used."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest

import ave
from avpipeline import __version__
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.training.saved import MEMBER, ModelInfo, load_model, save_model

FEATURES = {
    "audio": FeatureInfo("small_audio", "embedding", "none", "ab" * 32, (128,)),
    "visual": FeatureInfo("small_visual", "pool5", "none", "cd" * 32, (7, 7, 512)),
}


def info(**changes):
    fields = {
        "paper": "ave",
        "model": "av_att",
        "preset": "code",
        "class_names": ("Bark", "Cat", "background"),
        "features": FEATURES,
        "dataset": "rendered",
        "config": {"lstm_units": 4, "visual_shape": (7, 7, 16)},
    }
    return ModelInfo(**{**fields, **changes})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return ave.build_model(
        "av_att", num_classes=3, attention_units=4, lstm_units=4, hidden_units=4, visual_shape=(7, 7, 16)
    )


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return {
        "audio": rng.random((2, 10, 128), np.float32),
        "visual": rng.random((2, 10, 7, 7, 16), np.float32),
    }


@pytest.fixture
def path(tmp_path, model):
    return save_model(model, tmp_path / "model.keras", info())


def rewrite(path, members):
    """Replaces members of a zip file; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content = {name: value for name, value in {**content, **members}.items() if value is not None}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)


def refused(path, said, **arguments):
    """The one sentence with which a file is refused; it begins with the file's name."""
    with pytest.raises(InputError, match=said) as caught:
        load_model(path, **arguments)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_what_was_saved_comes_back(path, model, inputs):
    loaded, about = load_model(path, paper="ave")
    assert about == info() and about.version == __version__
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_a_compiled_and_trained_model_comes_back_without_its_optimizer(tmp_path, model, inputs):
    trained = keras.models.clone_model(model)
    trained.compile("adam", "mse", run_eagerly=True, jit_compile=False)
    trained.fit(inputs, np.zeros((2, 10, 3)), verbose=0)
    loaded, _ = load_model(save_model(trained, tmp_path / "m.keras", info()))
    assert not loaded.compiled
    for mine, theirs in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_keras_itself_reads_the_file(path, model, inputs):
    loaded = keras.models.load_model(path, safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_saving_replaces_whole_files_only(path, model):
    """The description, which JSON cannot hold here, is written after the model."""
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(model, path, info(config={"units": {1, 2}}))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_model_must_be_named_keras(tmp_path, model):
    with pytest.raises(InputError, match=r"must end in .keras; name it model.keras"):
        save_model(model, tmp_path / "model.h5", info())


def test_a_missing_file_and_a_folder(tmp_path):
    refused(tmp_path / "no.keras", "no such file; give the .keras file")
    refused(tmp_path, "is a folder")


def test_not_a_zip_and_a_truncated_file(path, tmp_path):
    other = tmp_path / "other.keras"
    other.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(other, "is not a .keras model")
    path.write_bytes(path.read_bytes()[:-2000])
    refused(path, "is not a .keras model, or is cut off")


def test_damaged_inside(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    refused(path, "is damaged")


def test_another_zip_file(tmp_path):
    path = tmp_path / "photos.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", "x")
    refused(path, "is a zip file but not a .keras model")


def test_saved_by_plain_keras(tmp_path, model):
    model.save(tmp_path / "plain.keras")
    refused(tmp_path / "plain.keras", "was saved by plain Keras.*avpipeline.training.saved.save_model")


def test_a_model_of_another_paper(tmp_path, model):
    path = save_model(model, tmp_path / "m.keras", info(paper="jca", model="jca"))
    refused(path, "holds the model 'jca' of jca, a model of ave is needed", paper="ave")


def test_only_the_papers_packages_are_imported(tmp_path, model):
    path = save_model(model, tmp_path / "m.keras", info(paper="antigravity"))
    refused(path, "says it is a model of 'antigravity'; known are ave, mafnet")


def test_a_newer_format_asks_for_an_update(path):
    with zipfile.ZipFile(path) as archive:
        fields = json.loads(archive.read(MEMBER))
    rewrite(path, {MEMBER: json.dumps({**fields, "format": 2, "version": "9.1"})})
    refused(path, "saved by version 9.1 of this package in format 2.*update this package")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "features": 3}'])
def test_an_unreadable_description(path, text):
    rewrite(path, {MEMBER: text})
    refused(path, "its description cannot be read")


def test_a_description_without_features(path):
    rewrite(path, {MEMBER: json.dumps({"format": 1, **info().to_json(), "features": {}})})
    refused(path, "names no features")


def test_weights_of_another_shape(path, tmp_path):
    other = ave.build_model(
        "av_att", num_classes=5, attention_units=4, lstm_units=4, hidden_units=4, visual_shape=(7, 7, 16)
    )
    with zipfile.ZipFile(save_model(other, tmp_path / "o.keras", info())) as archive:
        rewrite(path, {"model.weights.h5": archive.read("model.weights.h5")})
    refused(path, "cannot rebuild this model")


def test_a_layer_that_is_not_known_here(path):
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    rewrite(path, {"config.json": config.replace("ave>AudioGuidedAttention", "ave>NewerAttention")})
    refused(path, "needs 'ave>NewerAttention', which is not a part of Keras or of version")


def test_a_lambda_layer_is_refused_and_nothing_runs(tmp_path):
    sentinel = tmp_path / "ran"
    name = str(sentinel)
    here = keras.Input((2,))
    model = keras.Model(here, keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1])(here))
    path = save_model(model, tmp_path / "lambda.keras", info())
    sentinel.unlink(missing_ok=True)
    refused(path, "holds a Lambda layer, which runs code")
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
        {"class_name": "function", "config": "system", "module": "os", "registered_name": "ave>AudioGuidedAttention"},
        {"class_name": "Popen", "config": {"args": ["touch", "X"]}, "module": "subprocess", "registered_name": None},
        {"class_name": "function", "config": "enable_unsafe_deserialization", "module": "keras.config"},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "__typespec__", "config": [], "spec_name": "x", "module": "os", "registered_name": None},
        {"class_name": "TFSMLayer", "config": {"filepath": "X"}, "module": "keras.layers", "registered_name": None},
    ],
)
def test_whatever_else_a_file_asks_for_is_refused(path, asked):
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][-1]["config"]["axis"] = asked
    rewrite(path, {"config.json": json.dumps(config)})
    sentence = refused(path, "needs '|runs code")
    assert not re.search("cannot rebuild", sentence)


@pytest.mark.parametrize("statistics", [{"audio": 3}, {"audio": {"mean": ["x"], "deviation": [1], "largest": 1}}, 3])
def test_damaged_statistics_are_refused(path, statistics):
    described = {"format": 1, **info().to_json(), "statistics": statistics}
    rewrite(path, {"avpipeline.json": json.dumps(described).encode()})
    refused(path, "its description cannot be read")
