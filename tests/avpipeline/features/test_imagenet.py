"""Networks trained on ImageNet as extractors: their outputs, what they are given, their weight files."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features import imagenet
from avpipeline.features.registry import build_extractor, extractor_for
from avpipeline.features.weights import fill_seeded, weights_hash
from avpipeline.media import read_clip, read_frames, write_clip


def write_keras_application(path, model) -> None:
    """A weight file of the form that keras.applications come in."""
    layers = [layer for layer in model.layers if layer.weights]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{weight.name}:0".encode() for weight in layer.weights]
            for weight in layer.weights:
                group[f"{layer.name}/{weight.name}:0"] = weight.numpy()


def test_vgg19_from_a_local_file(tmp_path):
    model = keras.applications.VGG19(weights=None, include_top=False)
    fill_seeded(model, 5)
    path = tmp_path / imagenet.NETWORKS["vgg19"].weights.name
    write_keras_application(path, model)
    extractor = build_extractor("vgg19", weights_dir=tmp_path)
    assert extractor.info.label == "vgg19:pool5" and extractor.info.weights == "imagenet"
    assert extractor.info.sha256 == weights_hash(model)
    assert extractor_for(extractor.info, weights_dir=tmp_path).info == extractor.info
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(InputError, match=f"{path.name}: not a complete weight file of vgg19"):
        build_extractor("vgg19", path)


def test_densenets_frames_are_pixels_of_jpegs(tmp_path, monkeypatch):
    """Stripes one pixel wide, at half the size: nearest neighbour keeps them, bilinear scaling makes them grey."""
    stripes = np.zeros((448, 448, 3), "uint8")
    stripes[:, ::2] = 255
    ours = imagenet.from_jpeg(stripes)
    assert ours.shape == (224, 224, 3) and ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - 128).min() > 100
    # Noise does not survive JPEG, a plain colour does.
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), "uint8")
    assert 1 < np.abs(imagenet.from_jpeg(noise).astype(int) - noise).mean() < 60
    plain = np.full((224, 224, 3), (200, 30, 90), "uint8")
    np.testing.assert_allclose(imagenet.from_jpeg(plain), plain, atol=2)

    def small_application(weights, include_top, input_shape):
        image = keras.Input(input_shape)
        return keras.Model(image, keras.layers.Conv2D(1920, 1, strides=32, name="relu")(image))

    for name in imagenet.NETWORKS:
        changed = {"application": small_application, "layer": "relu"}
        monkeypatch.setitem(imagenet.NETWORKS, name, dataclasses.replace(imagenet.NETWORKS[name], **changed))
    write_clip(tmp_path / "clip.mp4", np.repeat(stripes[None], 8, 0), None, frame_rate=8)
    densenet = build_extractor("densenet201:avg_pool", "none")
    clip = read_clip(tmp_path / "clip.mp4", seconds=1, **densenet.clip_format)
    (frame, *_) = read_frames(tmp_path / "clip.mp4", frame_rate=16, size=None, seconds=1)
    np.testing.assert_array_equal(clip.frames[0], imagenet.from_jpeg(frame))
    # Frames read in another way give other features, so this is part of their identity.
    assert densenet.info.sha256 != weights_hash(densenet.network.model)
    assert build_extractor("vgg19", "none").clip_format == {"frame_rate": 16, "size": (224, 224), "transform": None}


@pytest.mark.parametrize("top", [False, True])
def test_imagenet_files_with_and_without_classes(tmp_path, monkeypatch, top):
    def small_application(weights, include_top, input_shape):
        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(2, 3, strides=32, padding="same", name="conv")(image)
        x = keras.layers.MaxPooling2D(1, name="block5_pool")(x)
        if include_top:
            x = keras.layers.Dense(3, name="predictions")(keras.layers.Flatten()(x))
        model = keras.Model(image, x)
        if weights:
            model.load_weights(weights)
        return model

    small = dataclasses.replace(imagenet.NETWORKS["vgg19"], application=small_application)
    monkeypatch.setitem(imagenet.NETWORKS, "vgg19", small)
    saved = small_application(None, top, (224, 224, 3))
    fill_seeded(saved, 1)
    write_keras_application(tmp_path / "mine.h5", saved)
    extractor = build_extractor("vgg19", tmp_path / "mine.h5")
    assert extractor.info.weights == "mine.h5"
    np.testing.assert_array_equal(extractor.network.model.get_weights()[0], saved.get_layer("conv").get_weights()[0])
    with pytest.raises(InputError, match="there is no such file"):
        imagenet.build_imagenet("vgg19", "pool5", tmp_path / "missing.h5")


@pytest.mark.parametrize("name", ["vgg19:pool5", pytest.param("densenet201:avg_pool", marks=pytest.mark.slow)])
def test_outputs_of_imagenet_networks(name):
    extractor = build_extractor(name, "none")
    assert extractor.modality == "visual" and extractor.frame_rate == 16 and extractor.frame_size == (224, 224)
    model = extractor.network.model
    assert model.output_shape == (None, *extractor.info.shape)
    if name == "densenet201:avg_pool":
        assert model.layers[-2].output.shape == (None, 7, 7, 1920)
        assert imagenet.NETWORKS["densenet201"].shapes == {"last_activation": (7, 7, 1920), "avg_pool": (1920,)}
    else:
        assert extractor.info.shape == (7, 7, 512)
    red = np.full((1, 1, 1, 3), [255.0, 0.0, 0.0], np.float32)
    prepared = np.asarray(extractor.network.prepare(red)).reshape(3)
    if name.startswith("vgg19"):
        expected = [-103.939, -116.779, 255 - 123.68]  # blue, green, red, each without its mean
    else:
        expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(prepared, expected, rtol=1e-5)
