"""Feature extractors by name.

`build_extractor("vggish:embedding_relu")` builds one by name; `extractor_for(info)` builds exactly the one that some
stored features came from or that a saved model was trained on, and raises an error if it cannot.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

import keras

from avpipeline.errors import InputError
from avpipeline.features import c3d, efficientnet, imagenet, mc3, small, vggish, yamnet
from avpipeline.features.extractor import Extractor, Network, clip_features, clip_format
from avpipeline.features.info import FeatureInfo
from avpipeline.features.logmel import LogMel
from avpipeline.features.weights import find_weights, search_folders, weights_hash

__all__ = [
    "EXTRACTORS",
    "VARIANTS",
    "Extractor",
    "Network",
    "build_extractor",
    "clip_features",
    "clip_format",
    "extractor_for",
    "input_name",
]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One network of the registry; `build(variant, weights, weights_dir=, seed=)` returns it and its weights' name.

    `shapes` is variant -> shape of the feature of one second, the default variant first.
    """

    help: str
    modality: str
    shapes: Mapping[str, tuple[int, ...]]
    build: Callable[..., tuple[Network, str]]


def _vggish(variant, weights, **where) -> tuple[Network, str]:
    model, label = vggish.build_vggish(variant, weights, **where)
    # The released maps are of seconds that were cut before they were resampled.
    return Network(model, LogMel(), by_second=variant == "conv4_2"), label


def _yamnet(variant, weights, **where) -> tuple[Network, str]:
    model, label = yamnet.build_yamnet(variant, weights, **where)
    return Network(model, yamnet.YamnetLogMel()), label


def _efficientnet(variant, weights, **where) -> tuple[Network, str]:
    model, label = efficientnet.build_efficientnet_lite0(variant, weights, **where)
    return Network(model, efficientnet.prepare, efficientnet.FRAME_RATE, efficientnet.FRAME_SIZE), label


def _imagenet(name: str) -> Callable[..., tuple[Network, str]]:
    def build(variant, weights, **where):
        model, label = imagenet.build_imagenet(name, variant, weights, **where)
        network = imagenet.NETWORKS[name]
        format_ = {"frame_rate": imagenet.FRAME_RATE, "frame_size": imagenet.FRAME_SIZE, "resize": network.resize}
        return Network(model, network.prepare, **format_), label

    return build


def _video(name: mc3.Name) -> Callable[..., tuple[Network, str]]:
    def build(variant, weights, **where):
        model, label = mc3.build_video_extractor(name, variant, weights, **where)
        return Network(model, mc3.prepare_second, mc3.CLIP_FRAMES, mc3.RESIZE, whole_second=True), label

    return build


def _c3d(variant, weights, **where) -> tuple[Network, str]:
    model, label = c3d.build_c3d(variant, weights, **where)
    return Network(model, c3d.prepare_second, c3d.CLIP_FRAMES, c3d.RESIZE, whole_second=True), label


def _small(builder: Callable[[int], keras.Model], *frames, **kind) -> Callable[..., tuple[Network, str]]:
    def build(variant, weights, *, weights_dir, seed):
        if weights not in ("default", "none"):
            raise InputError(f"{weights}: the small networks have no weight files; use the weights 'none'.")
        model = small.averaged(builder(seed)) if variant == "avg_pool" else builder(seed)
        return Network(model, lambda inputs: inputs, *frames, **kind), "none"

    return build


# The name of random weights includes a seed other than 0, so that `extractor_for` can recreate them.
_SEEDED = "none-seed"
# Names of the official weights, whatever the name of the file that they were found in.
_PRETRAINED = (vggish.PRETRAINED, imagenet.PRETRAINED, mc3.PRETRAINED, c3d.PRETRAINED)

_REGISTRY = {
    "vggish": _Entry(
        "VGGish, audio; the default is the embedding after the last ReLU, as in AVE's released features",
        "audio",
        # The default comes first, as for every network.
        {vggish.DEFAULT_VARIANT: vggish.VARIANTS[vggish.DEFAULT_VARIANT], **vggish.VARIANTS},
        _vggish,
    ),
    "yamnet": _Entry(
        "YAMNet (AudioSet), audio: embedding, last map, or scores of 521 classes",
        "audio",
        yamnet.VARIANTS,
        _yamnet,
    ),
    "efficientnet_lite0": _Entry(
        "EfficientNet-Lite0 (ImageNet), frames: last map, its spatial average, or scores of 1000 classes; mean over 4 "
        "frames per second",
        "visual",
        efficientnet.VARIANTS,
        _efficientnet,
    ),
    "vgg19": _Entry(
        "VGG-19 (ImageNet), frames: feature maps of the last pooling layer, mean over 16 frames per second",
        "visual",
        imagenet.NETWORKS["vgg19"].shapes,
        _imagenet("vgg19"),
    ),
    "densenet201": _Entry(
        "DenseNet-201 (ImageNet), frames: the last activation or its spatial average, mean over 16 frames per second",
        "visual",
        imagenet.NETWORKS["densenet201"].shapes,
        _imagenet("densenet201"),
    ),
    **{
        name: _Entry(
            f"{title} (Kinetics-400), frames: 16 per second as one clip",
            "visual",
            {"avg_pool": (mc3.CHANNELS,)},
            _video(name),
        )
        for name, title in (("r2plus1d_18", "R(2+1)D-18"), ("mc3_18", "MC3-18"), ("r3d_18", "R3D-18"))
    },
    "c3d": _Entry(
        "C3D (Sports-1M), frames: 16 per second as one clip; the last pooling's mean or fc6",
        "visual",
        c3d.VARIANTS,
        _c3d,
    ),
    "small_visual": _Entry(
        "small seeded network, frames, for synthetic clips",
        "visual",
        {"pool5": (7, 7, 512), "avg_pool": (512,)},
        _small(small.build_small_visual, small.FRAMES_A_SECOND, small.FRAME_SIZE),
    ),
    "small_audio": _Entry(
        "small seeded network, audio, for synthetic clips",
        "audio",
        {"embedding": (128,)},
        _small(small.build_small_audio),
    ),
    "small_audio_map": _Entry(
        "small seeded network, audio by time and frequency, for synthetic clips",
        "audio",
        {"pool4": (6, 4, 512)},
        _small(small.build_small_audio_map),
    ),
    "small_motion": _Entry(
        "small seeded network, differences between frames, for synthetic clips",
        "visual",
        {"pool5": (512,)},
        _small(small.build_small_motion, small.FRAMES_A_SECOND, small.FRAME_SIZE, whole_second=True),
    ),
}

# Features that models read under a name of their own, beside the usual ones of the same stream.
_INPUTS = {
    "vggish:pool4": "audio_map",
    "small_audio_map:pool4": "audio_map",
    "c3d:pool5": "motion",
    "small_motion:pool5": "motion",
}

VARIANTS = {name: tuple(entry.shapes) for name, entry in _REGISTRY.items()}
EXTRACTORS = {name: f"{entry.help} ({', '.join(entry.shapes)})" for name, entry in _REGISTRY.items()}


def build_extractor(name: str, weights="default", *, weights_dir=None, seed: int = 0) -> Extractor:
    """Builds an extractor by name.

    Args:
      name: `"vggish"` or, with one of its `VARIANTS`, `"vggish:embedding_relu"`; see `EXTRACTORS`.
      weights: "default" (pretrained), "none" (seeded random) or a weight file. The small networks are always seeded
        random.
      weights_dir: folder that is searched first for pretrained weights.
      seed: of random weights.

    Raises:
      InputError: unknown name or variant; weights that are missing, damaged or of another network.
    """
    network_name, _, variant = str(name).partition(":")
    if network_name not in _REGISTRY:
        raise InputError(f"{name}: there is no such extractor; choose one of {', '.join(_REGISTRY)}.")
    entry = _REGISTRY[network_name]
    variant = variant or next(iter(entry.shapes))
    if variant not in entry.shapes:
        raise InputError(f"{name}: {network_name} has no output '{variant}'; choose {' or '.join(entry.shapes)}.")
    network, label = entry.build(variant, weights, weights_dir=weights_dir, seed=seed)
    if label == "none" and seed:
        label = f"{_SEEDED}{seed}"
    info = FeatureInfo(network_name, variant, label, _identity(network), entry.shapes[variant])
    return Extractor(info, entry.modality, network)


def _identity(network: Network) -> str:
    """Hash of what decides a feature's numbers: the weights, and how files are read if not in the usual way."""
    unusual = [name for name in ("resize", "by_second") if getattr(network, name)]
    digest = weights_hash(network.model)
    return hashlib.sha256("+".join([digest, *unusual]).encode()).hexdigest() if unusual else digest


def input_name(extractor: Extractor) -> str:
    """The name under which models read an extractor's features: its modality's, "audio_map" or "motion"."""
    return _INPUTS.get(extractor.info.label, extractor.modality)


def extractor_for(info: FeatureInfo, *, weights_dir=None) -> Extractor:
    """The extractor of exactly the features `info`; an unknown hash in `info` matches every hash.

    Raises:
      InputError: its weights are not found, or have another hash.
    """
    weights, seed = _weights_named(info, weights_dir)
    extractor = build_extractor(info.label, weights, weights_dir=weights_dir, seed=seed)
    difference = info.difference(extractor.info)
    if difference:
        raise InputError(
            f"{info.label}: the weights '{info.weights}' found here are not those that the features were extracted "
            f"with ({difference}); put the right file into the folder of weights."
        )
    return extractor


def _weights_named(info: FeatureInfo, weights_dir) -> tuple[object, int]:
    """The arguments `weights` and `seed` of `build_extractor` for the weights named in `info`."""
    if info.weights == "none":
        return "none", 0
    seed = info.weights.removeprefix(_SEEDED)
    if info.weights.startswith(_SEEDED) and seed.isdecimal():
        return "none", int(seed)
    if info.weights in _PRETRAINED:
        return "default", 0
    path = find_weights([info.weights], weights_dir)
    if path is None:
        folders = ", ".join(str(folder) for folder in search_folders(weights_dir))
        raise InputError(f"{info.weights}: the weight file that {info.label} needs is not in {folders}; put it there.")
    return path, 0
