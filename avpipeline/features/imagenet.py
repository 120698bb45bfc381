"""Image networks trained on ImageNet, from keras.applications: VGG-19 and DenseNet-201.

They take frames of 224x224, 16 per second, preprocessed as in the network's own training. The feature of a second is
the mean over its frames, as in the features that the papers' authors released. DenseNet's frames went through JPEG
files there, which were resized by nearest neighbour; VGG-19's are resized bilinearly.
"""

import dataclasses
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import keras
import numpy as np
from PIL import Image

from avpipeline.errors import InputError
from avpipeline.features.weights import fill_seeded, find_weights, not_found

FRAME_SIZE = (224, 224)
FRAME_RATE = 16
# OpenCV's default.
_JPEG_QUALITY = 95

PRETRAINED = "imagenet"
_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclasses.dataclass(frozen=True)
class ImagenetNetwork:
    """A network of keras.applications and its outputs that serve as features.

    Attributes:
      application: builds it.
      prepare: RGB frames from 0 to 255 -> the network's input.
      folder: of its weight files on Keras's download server.
      files: usable weight files; the first is the one that Keras downloads (without the classification layers).
      shapes: variant -> shape of the output for one frame; the first is the default.
      layers: variant -> name of its layer.
      resize: see `features.extractor.Network`.
    """

    application: Callable[..., keras.Model]
    prepare: Callable
    folder: str
    files: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, str]
    resize: Callable[[np.ndarray], np.ndarray] | None = None


def from_jpeg(frame: np.ndarray) -> np.ndarray:
    """An RGB frame stored as JPEG, read and resized to 224x224 by nearest neighbour."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(file).resize(FRAME_SIZE[::-1], Image.Resampling.NEAREST))


NETWORKS = {
    "vgg19": ImagenetNetwork(
        keras.applications.VGG19,
        keras.applications.vgg19.preprocess_input,
        "vgg19",
        (
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "vgg19_weights_tf_dim_ordering_tf_kernels.h5",
        ),
        {"pool5": (7, 7, 512)},
        {"pool5": "block5_pool"},
    ),
    "densenet201": ImagenetNetwork(
        keras.applications.DenseNet201,
        keras.applications.densenet.preprocess_input,
        "densenet",
        (
            "densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "densenet201_weights_tf_dim_ordering_tf_kernels.h5",
        ),
        {"last_activation": (7, 7, 1920), "avg_pool": (1920,)},
        {"last_activation": "relu", "avg_pool": "relu"},
        from_jpeg,
    ),
}


def build_imagenet(
    name: str, variant: str, weights="default", *, weights_dir=None, seed: int = 0
) -> tuple[keras.Model, str]:
    """The network up to one of its outputs, with its weights.

    Args:
      name: one of `NETWORKS`.
      variant: one of its `shapes`.
      weights: "default" (ImageNet, downloaded by Keras if no file is found), "none" (seeded random) or an .h5 file of
        keras.applications, with or without the classification layers.
      weights_dir: folder that is searched first.
      seed: of random weights.

    Returns:
      a model from preprocessed frames `(batch, 224, 224, 3)` to `(batch, *shapes[variant])`, and the name of
      its weights for `FeatureInfo`.

    Raises:
      InputError: no weights, a damaged file, or one of another network.
    """
    network = NETWORKS[name]
    path = find_weights(network.files, weights_dir) if weights == "default" else None
    if weights == "none":
        whole, label = _application(network, None), "none"
    elif weights == "default" and path is None:
        whole, label = _fetched(network, weights_dir), PRETRAINED
    else:
        path = path or Path(weights)
        whole, label = _from_file(name, path), PRETRAINED if path.name in network.files else path.name
    output = whole.get_layer(network.layers[variant]).output
    if variant == "avg_pool":
        output = keras.layers.GlobalAveragePooling2D(name="avg_pool")(output)
    model = keras.Model(whole.inputs[0], output, name=f"{name}_{variant}")
    if weights == "none":
        fill_seeded(model, seed)
    model.trainable = False
    return model, label


def url_of(name: str) -> str:
    """The URL from which Keras downloads the weights of one of `NETWORKS`."""
    return f"{_URL}{NETWORKS[name].folder}/{NETWORKS[name].files[0]}"


def _application(network: ImagenetNetwork, weights, include_top: bool = False) -> keras.Model:
    return network.application(weights=weights, include_top=include_top, input_shape=(*FRAME_SIZE, 3))


def _fetched(network: ImagenetNetwork, weights_dir) -> keras.Model:
    try:
        return _application(network, PRETRAINED)
    except Exception as error:  # Keras raises a bare Exception if a download fails
        name = network.files[0]
        raise not_found(name, f"{_URL}{network.folder}/{name}", error, weights_dir) from error


def _from_file(name: str, path: Path) -> keras.Model:
    if not path.is_file():
        raise InputError(f"{path}: there is no such weight file; check the path.")
    try:
        return _application(NETWORKS[name], str(path), include_top=_has_top(path))
    except Exception as error:  # h5py and Keras raise many kinds of exception for a file that does not fit
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: not a complete weight file of {name} ({told}); download "
            f"{_URL}{NETWORKS[name].folder}/{NETWORKS[name].files[0]} again."
        ) from error


def _has_top(path: Path) -> bool:
    """Whether an .h5 weight file includes the layer with the 1000 classes."""
    with h5py.File(path, "r") as file:
        names = [name.decode() if isinstance(name, bytes) else name for name in file.attrs.get("layer_names", ())]
    return "predictions" in names or "fc1000" in names
