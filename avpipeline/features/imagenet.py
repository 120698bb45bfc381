"""Image networks trained on ImageNet, from keras.applications: VGG-19 and DenseNet-201.

They take frames of 224x224, 16 per second, preprocessed as in the network's own training. The feature of a second is
the mean over its frames, as in the features that the papers' authors released. DenseNet's frames went through JPEG
files there, which were resized by nearest neighbour; VGG-19's are resized bilinearly.
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from avpipeline.checkpoints.hdf5 import attribute_texts, opened_h5
from avpipeline.features.weights import WeightFile
from avpipeline.files import reading

FRAME_SIZE = (224, 224)
FRAME_RATE = 16
# OpenCV's default.
_JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class ImagenetNetwork:
    """A network of keras.applications and its outputs that serve as features.

    Attributes:
      application: builds it.
      prepare: RGB frames from 0 to 255 -> the network's input.
      weights: without the classification layers; another file has them.
      shapes: variant -> shape of the output for one frame; the first is the default.
      layer: name of the one that all variants are made from.
      resize: see `features.extractor.Network`.
    """

    application: Callable[..., keras.Model]
    prepare: Callable
    weights: WeightFile
    shapes: Mapping[str, tuple[int, ...]]
    layer: str
    resize: Callable[[np.ndarray], np.ndarray] | None = None


def from_jpeg(frame: np.ndarray) -> np.ndarray:
    """An RGB frame stored as JPEG, read and resized to 224x224 by nearest neighbour."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(file).resize(FRAME_SIZE[::-1], Image.Resampling.NEAREST))


def _weights(folder: str, name: str, md5: str, size: str, licence: str) -> WeightFile:
    """A weight file on Keras's download server."""
    whole = f"{name}_weights_tf_dim_ordering_tf_kernels"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/{folder}/{whole}_notop.h5"
    return WeightFile(f"{whole}_notop.h5", url, size, licence, md5=md5, label="imagenet", others=(f"{whole}.h5",))


NETWORKS = {
    "vgg19": ImagenetNetwork(
        keras.applications.VGG19,
        keras.applications.vgg19.preprocess_input,
        _weights("vgg19", "vgg19", "253f8cb515780f3b799900260a226db6", "80 MB", "CC BY 4.0 (Visual Geometry Group)"),
        {"pool5": (7, 7, 512)},
        "block5_pool",
    ),
    "densenet201": ImagenetNetwork(
        keras.applications.DenseNet201,
        keras.applications.densenet.preprocess_input,
        _weights("densenet", "densenet201", "c13680b51ded0fb44dff2d8f86ac8bb1", "75 MB", "BSD-3-Clause"),
        {"last_activation": (7, 7, 1920), "avg_pool": (1920,)},
        "relu",
        from_jpeg,
    ),
}


def build_imagenet(name: str, variant: str, path: Path | None = None) -> keras.Model:
    """One of `NETWORKS` from preprocessed frames `(batch, 224, 224, 3)` to `(batch, *shapes[variant])`.

    It is freshly initialised, or has the weights of an .h5 file of keras.applications, with or without the
    classification layers; InputError for a damaged file or one of another network.
    """
    whole = _application(name, path)
    output = whole.get_layer(NETWORKS[name].layer).output
    if variant == "avg_pool":
        output = keras.layers.GlobalAveragePooling2D(name="avg_pool")(output)
    return keras.Model(whole.inputs[0], output, name=f"{name}_{variant}")


def _application(name: str, path: Path | None) -> keras.Model:
    network = NETWORKS[name]
    build = functools.partial(network.application, input_shape=(*FRAME_SIZE, 3))
    if path is None:
        return build(weights=None, include_top=False)
    with reading(path, f"not a complete weight file of {name}", f"download {network.weights.url} again"):
        with opened_h5(path) as file:
            layers = attribute_texts(file, "layer_names") if "layer_names" in file.attrs else ()
        # The layer with the 1000 classes.
        has_top = "predictions" in layers or "fc1000" in layers
        return build(weights=str(path), include_top=has_top)
