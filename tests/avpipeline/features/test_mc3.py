"""The video networks against NumPy, and torchvision's checkpoints in both containers, written by the test itself."""

import keras
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features import mc3
from avpipeline.features.mc3 import build_mc3_18, build_video_classifier, build_video_resnet, frame_scaling
from avpipeline.features.registry import build_extractor
from avpipeline.features.weights import fill_seeded
from tests.helpers import torch_writing
from tests.helpers.video_checkpoints import randomized, torch_state, write
from tests.reference import video_resnet as reference

SIZES = {"frames": 5, "size": 12}
CLASSES = 7
# Trainable parameters with a 400-class head, as torchvision states them.
PARAMETERS = {"mc3_18": 11_695_440, "r3d_18": 33_371_472, "r2plus1d_18": 31_505_325}


@pytest.fixture(scope="module")
def classifier():
    return randomized(build_video_classifier("mc3_18", num_classes=CLASSES, **SIZES))


@pytest.fixture(scope="module")
def checkpoint(classifier, tmp_path_factory):
    return write(tmp_path_factory.mktemp("weights") / "mc3_18.pth", torch_state(classifier))


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(1).standard_normal((2, 5, 12, 12, 3)).astype("float32")


@pytest.mark.parametrize("name", PARAMETERS)
def test_network_is_the_papers(name, clip, classifier):
    model = classifier if name == "mc3_18" else randomized(build_video_classifier(name, num_classes=CLASSES, **SIZES))
    assert sum(weight.numpy().size for weight in model.trainable_weights) == PARAMETERS[name] - 393 * 513
    state = torch_state(model)
    expected = np.stack([reference.maps(name, state, each) for each in clip])
    outputs = keras.Model(model.input, [model.get_layer("maps").output, model.output])(clip)
    for ours, theirs in zip(outputs, (expected, [reference.scores(state, each) for each in expected]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def test_time_is_kept_by_mc3_alone():
    def shapes(model):
        return {name: output.shape for name, output in model.output.items()}

    assert shapes(build_mc3_18()) == {"features": (None, 100, 512), "maps": (None, 100, 7, 7, 512)}
    strided = shapes(build_video_resnet("r2plus1d_18", frames=16))
    assert strided == {"features": (None, 2, 512), "maps": (None, 2, 7, 7, 512)}


def test_legacy_checkpoint_gives_the_network_it_was_written_from(classifier, clip, tmp_path):
    path = write(tmp_path / "mc3_18.pth", torch_state(classifier), torch_writing.write_legacy)
    loaded = build_mc3_18(path, **SIZES)
    for first, second in zip(loaded.get_weights(), classifier.get_weights()[: len(loaded.weights)], strict=True):
        np.testing.assert_array_equal(first, second)
    outputs = loaded(clip)
    np.testing.assert_allclose(outputs["features"], np.mean(outputs["maps"], (2, 3)), rtol=0, atol=1e-5)


def test_zip_checkpoint_is_found_by_torchvisions_name(classifier, checkpoint, tmp_path):
    """In the folder, before it is looked for elsewhere: the published one has other weights, of 400 classes."""
    (tmp_path / "mc3_18-a90a0ba3.pth").symlink_to(checkpoint)
    loaded = build_video_classifier("mc3_18", "default", weights_dir=tmp_path, frames=3, size=12)
    assert loaded.output_shape == (None, CLASSES)
    for first, second in zip(loaded.get_weights(), classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_files_are_refused_with_one_sentence(classifier, tmp_path):
    state = {name: np.zeros_like(array) for name, array in torch_state(classifier).items()}
    head = {name: array for name, array in state.items() if name.startswith("fc.")}
    no_time = np.zeros((64, 3, 1, 7, 7), "float32")
    files = {
        "no classifier fc over 512 channels": {"affine_v.weight": np.zeros((49, 49), "float32")},
        "it lacks layer1.0.conv1.0.weight": head,
        "it also has stem.3.weight": state | {"stem.3.weight": no_time},
        "does not fit mc3_18, which needs (64, 3, 3, 7, 7)": state | {"stem.0.weight": no_time},
        "its fc.bias holds NaN or infinite values": state | {"fc.bias": np.full(CLASSES, np.nan, "float32")},
    }
    for index, (sentence, content) in enumerate(files.items()):
        path = write(tmp_path / f"{index}.pth", content)
        with pytest.raises(InputError) as caught:
            build_mc3_18(path, **SIZES)
        assert sentence in str(caught.value) and str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is no such file"):
        build_mc3_18(tmp_path / "missing.pth", **SIZES)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("torchvision.models.video.resnet.VideoResNet", "is no checkpoint of mc3_18, it lacks layer1"),
        ("torchvision.models.video.resnet.BasicStem", "resnet.BasicStem where mc3_18 is needed"),
        ("models.Net", "asks for 'models.Net', which no file of this kind needs"),
    ],
)
def test_a_whole_pickled_network_is_read_without_its_source(network, sentence, classifier, tmp_path):
    """Classes are known by name and made into nothing; here the network has its classifier alone."""
    kernel, bias = map(np.asarray, classifier.get_layer("fc").weights)
    head = {"weight": np.ascontiguousarray(kernel.T), "bias": bias}
    parameters = {
        name: torch_writing.parameter(torch_writing.tensor(torch_writing.storage(name, array), array.shape))
        for name, array in head.items()
    }
    linear = torch_writing.network("torch.nn.modules.linear.Linear", parameters)
    root = torch_writing.network(network, modules={"fc": linear})
    with pytest.raises(InputError, match=sentence):
        build_mc3_18(torch_writing.write_zip(tmp_path / "whole.pth", root, head), **SIZES)


def test_a_second_is_one_feature():
    """An extractor's frames, 128x171, are cut to the middle; 16 of them give one feature."""
    extractor = build_extractor("mc3_18", "none", seed=5)
    assert extractor.info.label == "mc3_18:avg_pool" and extractor.info.weights == "none-seed5"
    second = np.random.default_rng(3).integers(0, 256, (1, 16, 128, 171, 3)).astype("uint8")
    feature = extractor(second)
    assert feature.shape == (1, 512)
    network = build_mc3_18(frames=16)
    fill_seeded(network, 5)
    cut = (second[:, :, 8:120, 30:142] / 255 - np.array(mc3.MEAN)) / np.array(mc3.DEVIATION)
    expected = np.mean(network(cut.astype("float32"))["features"], 1)
    np.testing.assert_allclose(feature, expected, rtol=0, atol=1e-4 * expected.max())


def test_frames_are_scaled_as_torchvision_does():
    frames = np.random.default_rng(2).integers(0, 256, (2, 3, 4, 4, 3)).astype("uint8")
    expected = (frames / 255 - np.array(mc3.MEAN)) / np.array(mc3.DEVIATION)
    np.testing.assert_allclose(frame_scaling()(frames), expected, rtol=0, atol=1e-6)
