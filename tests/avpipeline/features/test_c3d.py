"""C3D against NumPy, the published files' two forms written by the test itself, and the extractor."""

import h5py
import numpy as np
import pytest

from avpipeline.datasets.ave import SUPPLEMENT_FEATURES
from avpipeline.errors import InputError
from avpipeline.features import c3d
from avpipeline.features.registry import build_extractor, extractor_for
from tests.helpers import torch_writing
from tests.helpers.video_checkpoints import write
from tests.reference import c3d as reference

UNITS, CLASSES = 6, 5


@pytest.fixture
def narrow(monkeypatch):
    """Few filters, so that the network at its true size is small."""
    monkeypatch.setattr(c3d, "_FILTERS", {name: filters // 32 for name, filters in c3d._FILTERS.items()})
    monkeypatch.setattr(c3d, "_UNITS", UNITS)


def random_state(filters, *, maps=16, units=UNITS, seed=0):
    """A state dict of the whole network as torch has it, with activations that stay alive."""
    rng = np.random.default_rng(seed)
    shapes, before = {}, 3
    for name, count in filters.items():
        shapes[name], before = (count, before, 3, 3, 3), count
    shapes |= {"fc6": (units, before * maps), "fc7": (units, units), "fc8": (CLASSES, units)}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype("float32")
        state[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype("float32")
    return state


def write_keras(path, state, channels):
    """As Keras 1 stored it: channels last, the rows of fc6 in the order of maps with channels last."""
    with h5py.File(path, "w") as file:
        layers = list(dict.fromkeys(name.partition(".")[0] for name in state))
        file.attrs["layer_names"] = [name.encode() for name in ("pool1", *layers)]
        file.create_group("pool1").attrs["weight_names"] = np.zeros(0, "S1")
        for layer in layers:
            kernel = state[f"{layer}.weight"]
            if layer == "fc6":
                kernel = kernel.reshape(-1, channels, 4, 4).transpose(0, 2, 3, 1).reshape(kernel.shape)
            kernel = kernel.transpose(2, 3, 4, 1, 0) if kernel.ndim == 5 else kernel.T
            names = [f"{layer}_W".encode(), f"{layer}_b".encode()]
            group = file.create_group(layer)
            group.attrs["weight_names"] = names
            for name, array in zip(names, (kernel, state[f"{layer}.bias"]), strict=True):
                group[name.decode()] = array
    return path


def clip(size, seed=1):
    return np.random.default_rng(seed).uniform(-100, 150, (1, 16, size, size, 3)).astype("float32")


@pytest.mark.slow
def test_network_is_the_papers_at_its_true_width(tmp_path):
    """On small frames, whose last pooling takes 3 rows to 2."""
    model, frames = c3d.c3d_network("pool5", size=48), clip(48)
    assert model.count_params() == 27_655_936
    assert model.get_layer("pool5").output.shape == (None, 1, 2, 2, 512)
    state = random_state(c3d._FILTERS)
    c3d.load_weights(model, write(tmp_path / "c3d.pickle", state, torch_writing.write_legacy))
    expected = reference.outputs({name: array for name, array in state.items() if name < "fc"}, frames[0])["pool5"]
    assert expected.std() > 1
    np.testing.assert_allclose(model(frames)[0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_published_sizes():
    assert c3d.c3d_network("fc6").count_params() == 61_214_464
    assert c3d.c3d_network("fc6").get_layer("flatten").output.shape == (None, 8192)
    for variant, shape in c3d.VARIANTS.items():
        assert c3d.c3d_network(variant).output_shape == (None, *shape)


@pytest.mark.parametrize("variant", c3d.VARIANTS)
@pytest.mark.parametrize("form", ["legacy", "zip", "keras"])
def test_both_published_forms_give_the_same_network(narrow, tmp_path, variant, form):
    state, frames = random_state(c3d._FILTERS), clip(112)
    if form == "keras":
        path = write_keras(tmp_path / c3d.KERAS_FILE, state, c3d._FILTERS["conv5b"])
    else:
        container = {"legacy": torch_writing.write_legacy, "zip": torch_writing.write_zip}[form]
        path = write(tmp_path / c3d.TORCH_FILE, state, container)
    for given in ((path, None), ("default", tmp_path)):
        extractor = build_extractor(f"c3d:{variant}", given[0], weights_dir=given[1])
        model = extractor.network.model
        assert extractor.info.weights == "sports1m" and not model.trainable
    expected = reference.outputs(state, frames[0])[variant]
    assert np.count_nonzero(expected) > 2
    np.testing.assert_allclose(model(frames)[0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_other_files_are_refused_with_one_sentence(narrow, tmp_path):
    state = random_state(c3d._FILTERS)
    no_fc6 = {name: array for name, array in state.items() if not name.startswith("fc6")}
    files = {
        "has no fc6.weight with 256 columns": no_fc6,
        "it lacks conv5b.weight": {name: array for name, array in state.items() if name != "conv5b.weight"},
        "it also has conv6.weight": state | {"conv6.weight": state["conv1.weight"]},
        "does not fit c3d_fc6, which needs (2, 3, 3, 3, 3)": state | {"conv1.weight": np.zeros((2, 3, 1, 3, 3), "f4")},
        "its fc6.bias holds NaN or infinite values": state | {"fc6.bias": np.full(UNITS, np.nan, "f4")},
    }
    for index, (sentence, content) in enumerate(files.items()):
        path = write(tmp_path / f"{index}.pickle", content)
        with pytest.raises(InputError) as caught:
            build_extractor("c3d:fc6", path)
        assert sentence in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    # Without fc6 it is still good for the features of AVE's supplement.
    build_extractor("c3d:pool5", write(tmp_path / "convolutions.pickle", no_fc6))
    with pytest.raises(InputError, match="there is no such file"):
        build_extractor("c3d:pool5", tmp_path / "missing.pickle")


def test_a_second_is_cut_turned_to_bgr_and_centred():
    frames = np.random.default_rng(2).integers(0, 256, (1, 16, 128, 171, 3)).astype("float32")
    prepared = np.asarray(c3d.prepare_second(frames))
    assert prepared.shape == (1, 16, 112, 112, 3)
    red, _, blue = frames[0, 3, 8, 29]
    np.testing.assert_allclose(prepared[0, 3, 0, 0, [0, 2]], [blue - 90, red - 102])


def test_the_extractor_gives_the_features_of_aves_supplement(narrow, tmp_path):
    path = write(tmp_path / c3d.TORCH_FILE, random_state(c3d._FILTERS))
    extractor = build_extractor("c3d", weights_dir=tmp_path)
    assert (extractor.modality, extractor.frame_rate, extractor.frame_size) == ("visual", 16, (128, 171))
    assert SUPPLEMENT_FEATURES["motion"].difference(extractor.info) is None
    second = np.random.default_rng(3).integers(0, 256, (2, 16, 128, 171, 3)).astype("uint8")
    model = build_extractor("c3d:pool5", path).network.model
    expected = model(c3d.prepare_second(second.astype("float32")))
    np.testing.assert_allclose(extractor(second), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert extractor_for(extractor.info, weights_dir=tmp_path).info == extractor.info
    seeded = build_extractor("c3d:fc6", "none", seed=2)
    assert seeded.info.weights == "none-seed2" and extractor_for(seeded.info).info == seeded.info
