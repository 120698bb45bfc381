"""Extractors by name: outputs, weights from every kind of file, hashes, and what is refused."""

import dataclasses
import email.message
import io
import urllib.error
import urllib.request

import h5py
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.features import vggish
from avpipeline.features.extractor import _fetched
from avpipeline.features.registry import VARIANTS, build_extractor, clip_features, extractor_for
from avpipeline.features.weights import find_weights
from avpipeline.media import Clip

SCOPES = {
    **{"conv1": "conv1", "conv2": "conv2", "conv3_1": "conv3/conv3_1", "conv3_2": "conv3/conv3_2"},
    **{"conv4_1": "conv4/conv4_1", "conv4_2": "conv4/conv4_2"},
    **{"fc1_1": "fc1/fc1_1", "fc1_2": "fc1/fc1_2", "fc2": "fc2"},
}


@pytest.fixture
def tiny(monkeypatch):
    """VGGish with few filters, so that its files and a NumPy reference are small."""
    filters = {"conv1": 2, "conv2": 3, "conv3_1": 4, "conv3_2": 3, "conv4_1": 5, "conv4_2": 4}
    monkeypatch.setattr(vggish, "_FILTERS", filters)
    monkeypatch.setattr(vggish, "_UNITS", 6)


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    """No weights in any of the places where they are looked for, and no network."""
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("AVPIPELINE_WEIGHTS", raising=False)

    def refuse(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def random_weights(seed: int = 3, *, top: bool = True) -> dict[str, list[np.ndarray]]:
    """Layer -> [kernel, bias] of a (tiny) VGGish, biases not zero."""
    rng = np.random.default_rng(seed)
    model = vggish.vggish_network("embedding" if top else "pool4")
    return {
        layer.name: [rng.normal(0, 0.4, weight.shape).astype(np.float32) for weight in layer.weights]
        for layer in model.layers
        if layer.weights
    }


def random_pca() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    means = rng.normal(size=(128, 1)).astype(np.float32)
    return {"pca_eigen_vectors": rng.normal(size=(128, 128)).astype(np.float32) * 0.1, "pca_means": means}


def write_slim_checkpoint(path, weights, *, save=tf.raw_ops.SaveV2, prefix="vggish/") -> None:
    arrays = {
        f"{prefix}{SCOPES[layer]}/{kind}": array
        for layer, pair in weights.items()
        for kind, array in zip(("weights", "biases"), pair, strict=True)
    }
    names, tensors = list(arrays), [tf.constant(array) for array in arrays.values()]
    if save is tf.raw_ops.SaveV2:
        save(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    else:
        save(filename=str(path), tensor_names=names, data=tensors)


def write_keras_port(path, weights, root: str = "") -> None:
    """As Keras 2 saved it: layer names with slashes nest, and the weights' names repeat them."""
    with h5py.File(path, "w") as file:
        for layer, pair in weights.items():
            name = SCOPES[layer] if layer.startswith("conv") else f"vggish_{SCOPES[layer]}"
            for kind, array in zip(("kernel:0", "bias:0"), pair, strict=True):
                file[f"{root}{name}/{name}/{kind}"] = array


def reference(weights, pca, patches) -> dict[str, np.ndarray]:
    """VGGish in NumPy, float64: every output by name."""
    outputs = {}
    x = patches.astype(np.float64)[..., None]
    for layer in ("conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"):
        kernel, bias = weights[layer]
        height, width = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = bias + sum(
            padded[:, i : i + height, j : j + width] @ kernel[i, j].astype(np.float64)
            for i in range(3)
            for j in range(3)
        )
        x = outputs[layer] = np.maximum(x, 0)
        if layer in ("conv1", "conv2", "conv3_2", "conv4_2"):
            x = x.reshape(len(x), height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
    outputs["pool4"] = x
    x = x.reshape(len(x), -1)
    for layer in ("fc1_1", "fc1_2"):
        x = np.maximum(x @ weights[layer][0] + weights[layer][1], 0)
    x = outputs["embedding"] = x @ weights["fc2"][0] + weights["fc2"][1]
    outputs["embedding_relu"] = np.maximum(x, 0)
    x = outputs["embedding_pca"] = (pca["pca_eigen_vectors"] @ (x.T - pca["pca_means"])).T
    outputs["embedding_pca_quantized"] = ((np.clip(x, -2, 2) + 2) * 255 / 4).astype(np.uint8)
    return outputs


@pytest.mark.parametrize("variant", VARIANTS["vggish"])
def test_every_output_of_vggish_as_in_numpy(tiny, tmp_path, variant):
    weights, pca = random_weights(), random_pca()
    write_slim_checkpoint(tmp_path / "vggish_model.ckpt", weights)
    np.savez(tmp_path / "vggish_pca_params.npz", **pca)
    extractor = build_extractor(f"vggish:{variant}", tmp_path / "vggish_model.ckpt")
    patches = np.random.default_rng(5).normal(size=(2, 96, 64)).astype(np.float32)
    expected = reference(weights, pca, patches)[variant]
    result = extractor.network.model(patches).numpy()
    assert extractor.info.weights == "audioset"
    assert result.shape == expected.shape and result.std() > 0
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_vggish_has_the_published_sizes():
    assert vggish.vggish_network("embedding").count_params() == 72_141_184
    for variant in vggish.MAPS:
        assert vggish.vggish_network(variant).output_shape == (None, *vggish.VARIANTS[variant])
    assert VARIANTS["vggish"][0] == "embedding_relu"


def test_whitening_and_quantising_by_hand():
    whiten = vggish.PcaWhitening()
    whiten.build((None, 2))
    eigen_vectors, means = np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    whiten.set_weights([eigen_vectors, means])
    inputs = np.array([[2.0, 0.0], [1.0, -1.0], [-9.0, -1.5]], np.float32)
    np.testing.assert_allclose(whiten(inputs), [[2.0, 2.0], [0.0, 0.0], [-10.5, -1.0]])
    quantize = vggish.PcaWhitening.from_config({**whiten.get_config(), "quantize": True})
    quantize.build((None, 2))
    quantize.set_weights(whiten.get_weights())
    # -2 is 0, 2 is 255, and what lies between is cut, not rounded: 0 is 127.5, -1 is 63.75.
    np.testing.assert_array_equal(quantize(inputs), [[255, 255], [127, 127], [0, 63]])


@pytest.mark.parametrize("form", ["checkpoint v1", "checkpoint v2", "keras port", "keras port, whole model"])
def test_every_weight_file_gives_the_same_network(tiny, tmp_path, form):
    weights = random_weights()
    path = tmp_path / ("vggish_model.ckpt" if form.startswith("checkpoint") else "vggish_audioset_weights.h5")
    if form.startswith("checkpoint"):
        write_slim_checkpoint(path, weights, save=tf.raw_ops.Save if form.endswith("v1") else tf.raw_ops.SaveV2)
    else:
        write_keras_port(path, weights, root="model_weights/" if form.endswith("model") else "")
    extractor = build_extractor("vggish", weights_dir=tmp_path)
    for layer, pair in weights.items():
        for loaded, array in zip(extractor.network.model.get_layer(layer).get_weights(), pair, strict=True):
            np.testing.assert_array_equal(loaded, array)
    by_path = build_extractor("vggish", path)
    assert extractor.info == by_path.info and extractor.info.weights == "audioset"


def test_convolutions_alone_serve_the_maps_only(tiny, tmp_path):
    path = tmp_path / "vggish_audioset_weights_without_fc2.h5"
    weights = random_weights()
    write_slim_checkpoint(tmp_path / "whole.ckpt", weights)
    write_keras_port(path, {layer: pair for layer, pair in weights.items() if layer.startswith("conv")})
    maps = build_extractor("vggish:conv4_2", weights_dir=tmp_path).info
    assert maps.sha256 == build_extractor("vggish:conv4_2", tmp_path / "whole.ckpt").info.sha256
    with pytest.raises(InputError, match="without its layer fc1_1.*conv4_2 and pool4"):
        build_extractor("vggish", path)


def broken_weight_files(folder):
    """Name -> (file, words that its refusal must hold)."""
    weights = random_weights(top=False)
    write_slim_checkpoint(folder / "other.ckpt", weights, prefix="resnet/")
    write_keras_port(folder / "few.h5", {"conv1": weights["conv1"]})
    wrong = {**weights, "conv2": [np.zeros((5, 5, 2, 3), np.float32), weights["conv2"][1]]}
    write_keras_port(folder / "shape.h5", wrong)
    nan = {**weights, "conv1": [weights["conv1"][0] * np.nan, weights["conv1"][1]]}
    write_slim_checkpoint(folder / "nan.ckpt", nan)
    letters = {**weights, "conv1": [np.full(weights["conv1"][0].shape, "x"), weights["conv1"][1]]}
    write_slim_checkpoint(folder / "letters.ckpt", letters)
    write_keras_port(folder / "whole.h5", weights)
    content = (folder / "whole.h5").read_bytes()
    (folder / "cut.h5").write_bytes(content[: len(content) // 2])
    (folder / "text.ckpt").write_text("<html>not found</html>")
    (folder / "empty.ckpt").write_bytes(b"")
    return {
        "other.ckpt": "is no checkpoint of vggish_pool4, it lacks conv1/bias, conv1/kernel",
        "few.h5": "is no checkpoint of vggish_pool4, it lacks conv2/bias, conv2/kernel",
        "shape.h5": r"its conv2/kernel of shape \(5, 5, 2, 3\) does not fit vggish_pool4, which needs",
        "nan.ckpt": "its conv1/kernel holds NaN",
        "letters.ckpt": "its conv1/kernel holds .* no numbers",
        "cut.h5": "not a complete .h5 file",
        "text.ckpt": "is not a TensorFlow checkpoint, or is damaged",
        "empty.ckpt": "is not a TensorFlow checkpoint, or is damaged",
        "missing.ckpt": "there is no such file; check the path",
    }


def test_files_that_are_no_vggish_are_refused(tiny, tmp_path):
    for name, words in broken_weight_files(tmp_path).items():
        with pytest.raises(InputError, match=words) as refusal:
            build_extractor("vggish:pool4", tmp_path / name)
        assert str(tmp_path / name) in str(refusal.value) and "\n" not in str(refusal.value), name


def test_pca_parameters_are_needed_and_checked(tiny, tmp_path, nothing_installed):
    write_slim_checkpoint(tmp_path / "vggish_model.ckpt", random_weights())
    with pytest.raises(InputError, match="vggish_pca_params.npz: not in .*no network.*https://"):
        build_extractor("vggish:embedding_pca", tmp_path / "vggish_model.ckpt")
    for content in ({"pca_means": np.zeros(128)}, {"pca_eigen_vectors": np.eye(3), "pca_means": np.zeros(3)}):
        np.savez(tmp_path / "vggish_pca_params.npz", **content)
        with pytest.raises(InputError, match="vggish_pca_params.npz: .*get https://"):
            build_extractor("vggish:embedding_pca", tmp_path / "vggish_model.ckpt")
    (tmp_path / "vggish_pca_params.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="not AudioSet's PCA parameters"):
        build_extractor("vggish:embedding_pca", tmp_path / "vggish_model.ckpt")


def test_weights_that_are_nowhere_name_file_source_and_folders(tmp_path, nothing_installed):
    for name, file in (("vggish", "vggish_model.ckpt"), ("densenet201", "densenet201_weights_tf_dim_ordering")):
        with pytest.raises(InputError) as refusal:
            build_extractor(name)
        told = str(refusal.value)
        assert told.startswith(file) and "https://storage.googleapis.com/" in told and "no network" in told
        assert str(tmp_path / "cache" / "weights") in told and str(tmp_path / "keras" / "models") in told
        assert "\n" not in told
    assert not list((tmp_path / "cache").rglob("*.ckpt"))
    with pytest.raises(InputError, match="no such folder of weights"):
        build_extractor("vggish", weights_dir=tmp_path / "missing")


def test_folders_are_searched_in_order(tmp_path, monkeypatch, nothing_installed):
    monkeypatch.setenv("AVPIPELINE_WEIGHTS", str(tmp_path / "variable"))
    folders = [tmp_path / "given", tmp_path / "variable", tmp_path / "cache/weights", tmp_path / "keras/models"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.ckpt.index").touch()
    for folder in folders:
        assert find_weights(["missing", "a.ckpt"], tmp_path / "given") == folder / "a.ckpt"
        (folder / "a.ckpt.index").unlink()
    assert find_weights(["a.ckpt"]) is None


def test_fetched_weights_are_kept_whole_or_not_at_all(tiny, tmp_path, monkeypatch, nothing_installed):
    write_slim_checkpoint(tmp_path / "served.ckpt", random_weights(), save=tf.raw_ops.Save)
    content = (tmp_path / "served.ckpt").read_bytes()
    asked = []

    def serve(sent):
        def open_url(url, data):
            asked.append(url)
            answer = io.BytesIO(sent)
            headers = email.message.Message()
            headers["Content-Length"] = str(len(content))
            answer.info = lambda: headers
            return answer

        monkeypatch.setattr(urllib.request, "urlopen", open_url)

    serve(content[:-5])
    with pytest.raises(InputError, match="could not be downloaded"):
        build_extractor("vggish")
    serve(content)
    assert build_extractor("vggish").info == build_extractor("vggish").info
    assert asked == ["https://storage.googleapis.com/audioset/vggish_model.ckpt"] * 2
    assert (tmp_path / "cache" / "weights" / "vggish_model.ckpt").read_bytes() == content
    assert not list((tmp_path / "cache" / "weights").glob(".download-*"))
    with pytest.raises(InputError, match="mc3_18-a90a0ba3.pth: .*with the hash .* came where a90a0ba3 is needed"):
        build_extractor("mc3_18")
    assert not list((tmp_path / "cache").rglob("*.pth"))


def test_random_weights_are_the_same_everywhere_and_alive():
    """The hash binds stored features to these weights: it must not depend on versions or machines."""
    pool4, conv4_2 = build_extractor("vggish:pool4", "none"), build_extractor("vggish:conv4_2", "none")
    # Of the same weights, but each second of its sound is resampled alone.
    assert pool4.info.sha256 != conv4_2.info.sha256
    assert pool4.info.sha256.startswith("81bac3d88aab")
    other = build_extractor("vggish:pool4", "none", seed=1)
    assert other.info.sha256 != pool4.info.sha256
    assert (pool4.info.weights, other.info.weights) == ("none", "none-seed1")
    assert extractor_for(other.info).info == other.info
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    maps = pool4(noise)
    assert maps.shape == (2, 6, 4, 512) and maps.dtype == np.float32
    assert 0.1 < maps.std() < 100 and 0.1 < np.mean(maps == 0) < 0.9


@pytest.mark.slow
def test_the_whole_vggish_on_sound():
    extractor = build_extractor("vggish", "none")
    assert extractor.info.label == "vggish:embedding_relu" and extractor.info.shape == (128,)
    embedding = extractor(np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32))
    assert embedding.shape == (1, 128) and embedding.min() == 0
    assert 0.1 < embedding.std() < 100 and 0.2 < np.mean(embedding == 0) < 0.8


def test_a_second_is_the_mean_of_its_frames():
    extractor = build_extractor("small_visual")
    frames = np.random.default_rng(1).integers(0, 256, (3, 4, 64, 64, 3)).astype(np.uint8)
    maps = extractor.network.model.predict(frames.reshape(12, 64, 64, 3), verbose=0)
    np.testing.assert_allclose(extractor(frames), maps.reshape(3, 4, 7, 7, 512).mean(1), atol=1e-5)


def test_any_number_of_segments_in_one_graph():
    extractor = build_extractor("small_audio")
    sound = np.random.default_rng(2).normal(0, 0.1, (37, 16000)).astype(np.float32)
    whole = extractor(sound)
    assert whole.shape == (37, 128)
    np.testing.assert_allclose(whole[20:23], extractor(sound[20:23]), atol=1e-5)
    assert extractor(sound[:0]).shape == (0, 128)
    assert extractor._run.experimental_get_tracing_count() == 1


def test_extractor_for_gives_exactly_those_features():
    info = build_extractor("small_audio").info
    assert extractor_for(info).info == info
    assert extractor_for(dataclasses.replace(info, sha256="")).info == info
    with pytest.raises(InputError, match="small_audio:embedding: .*weight hash .* where 000000000000 is needed"):
        extractor_for(dataclasses.replace(info, sha256="0" * 64))
    with pytest.raises(InputError, match="mine.ckpt: the weight file that vggish:pool4 needs is not in"):
        extractor_for(dataclasses.replace(info, extractor="vggish", variant="pool4", weights="mine.ckpt"))


def test_a_weight_file_is_found_again_by_its_name(tiny, tmp_path):
    write_slim_checkpoint(tmp_path / "mine.ckpt", random_weights())
    info = build_extractor("vggish", tmp_path / "mine.ckpt").info
    assert info.weights == "mine.ckpt"
    assert extractor_for(info, weights_dir=tmp_path).info == info
    write_slim_checkpoint(tmp_path / "mine.ckpt", random_weights(seed=9))
    with pytest.raises(InputError, match="are not those that the features were extracted with"):
        extractor_for(info, weights_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("vgg", "none", "vgg: there is no such extractor; choose one of vggish, yamnet"),
        ("vggish:fc2", "none", "vggish has no output 'fc2'; choose embedding_relu or embedding"),
        ("small_audio", "file.h5", "file.h5: the small networks have no weight files"),
    ],
)
def test_unknown_names_are_refused(name, weights, words):
    with pytest.raises(InputError, match=words):
        build_extractor(name, weights)


def clip_of(**changes) -> Clip:
    rng = np.random.default_rng(7)
    fields = {
        "path": "clip.mp4",
        "seconds": 2,
        "waveform": rng.normal(0, 0.1, 32000).astype(np.float32),
        "frames": rng.integers(0, 256, (8, 64, 64, 3)).astype(np.uint8),
        "frame_rate": 4,
        **{"has_audio": True, "has_video": True, "audio_seconds": 2.0, "video_seconds": 2.0},
    }
    return Clip(**{**fields, **changes})


def test_features_of_a_clip():
    extractors = {"audio": build_extractor("small_audio"), "visual": build_extractor("small_visual")}
    clip = clip_of()
    features = clip_features(extractors, clip)
    np.testing.assert_array_equal(features["audio"], extractors["audio"](clip.waveform.reshape(2, 16000)))
    np.testing.assert_array_equal(features["visual"], extractors["visual"](clip.frames.reshape(2, 4, 64, 64, 3)))
    silent = clip_features(extractors, clip_of(has_audio=False))
    assert silent["audio"].shape == (2, 128) and not silent["audio"].any() and silent["visual"].any()
    for wrong in (clip_of(frames=clip.frames[:4]), clip_of(frames=clip.frames[:, :32]), clip_of(seconds=0.5)):
        with pytest.raises(InputError, match="clip.mp4: "):
            clip_features(extractors, wrong)


def test_batches_are_fetched_while_the_next_is_under_way():
    """Two at once, in order; a clip of any length needs one graph."""
    under_way, most = set(), []

    class Output:
        def __init__(self, number):
            self.number = number
            under_way.add(number)
            most.append(len(under_way))

        def numpy(self):
            under_way.remove(self.number)
            return self.number

    assert list(_fetched(Output(number) for number in range(5))) == list(range(5))
    assert max(most) == 2 and not under_way
    extractor = build_extractor("small_audio")
    sound = np.random.default_rng(0).normal(0, 0.1, (35, 16000)).astype(np.float32)
    parts = [extractor(sound[:16]), extractor(sound[16:32]), extractor(sound[32:])]
    np.testing.assert_array_equal(extractor(sound), np.concatenate(parts))
    assert extractor._run.experimental_get_tracing_count() == 1
