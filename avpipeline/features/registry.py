"""Feature extractors by name.

`build_extractor("vggish:embedding_relu")` builds one by name; `extractor_for(info)` builds exactly the one that some
stored features came from or that a saved model was trained on, and raises an error if it cannot.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras

from avpipeline.errors import InputError
from avpipeline.features import c3d, efficientnet, imagenet, mc3, small, vggish, yamnet
from avpipeline.features.extractor import Extractor, Network, clip_features, clip_format
from avpipeline.features.info import FeatureInfo
from avpipeline.features.logmel import LogMel
from avpipeline.features.weights import WeightFile, fill_seeded, find_weights, search_folders, weights_hash

__all__ = ["EXTRACTORS", "VARIANTS", "Extractor"]
__all__ += ["build_extractor", "clip_features", "clip_format", "extractor_for", "input_name"]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One network of the registry."""

    help: str  # what it is, for people
    modality: str  # "audio" or "visual"
    shapes: Mapping[str, tuple[int, ...]]  # variant -> shape of the feature of one second, the default variant first
    # (variant, weight file, folder of weights) -> the network, freshly initialised where there is no file. Of the small
    # networks: (variant, seed).
    build: Callable[..., Network]
    weights: WeightFile | None = None  # None for the small networks
    # (variant, folder) -> the file to take where none is named; None for `weights`, found or downloaded.
    default: Callable[[str, object], Path] | None = None


def _vggish(variant, path, folder) -> Network:
    # The released maps are of seconds that were cut before they were resampled.
    return Network(vggish.build_vggish(variant, path, folder), LogMel(), by_second=variant == "conv4_2")


def _yamnet(variant, path, _) -> Network:
    return Network(yamnet.build_yamnet(variant, path), yamnet.YamnetLogMel())


def _efficientnet(variant, path, _) -> Network:
    model = efficientnet.build_efficientnet_lite0(variant, path)
    return Network(model, efficientnet.prepare, efficientnet.FRAME_RATE, efficientnet.FRAME_SIZE)


def _c3d(variant, path, _) -> Network:
    model = c3d.c3d_network(variant)
    if path is not None:
        c3d.load_weights(model, path)
    return Network(model, c3d.prepare_second, c3d.CLIP_FRAMES, c3d.RESIZE, whole_second=True)


def _imagenet(name: str, title: str) -> _Entry:
    network = imagenet.NETWORKS[name]

    def build(variant, path, _):
        model = imagenet.build_imagenet(name, variant, path)
        return Network(model, network.prepare, imagenet.FRAME_RATE, imagenet.FRAME_SIZE, resize=network.resize)

    return _Entry(f"{title}, mean over 16 frames per second", "visual", network.shapes, build, network.weights)


def _video(name: mc3.Name, title: str) -> _Entry:
    def build(_, path, __):
        model = mc3.build_video_extractor(name, path)
        return Network(model, mc3.prepare_second, mc3.CLIP_FRAMES, mc3.RESIZE, whole_second=True)

    what = f"{title} (Kinetics-400), frames: 16 per second as one clip"
    return _Entry(what, "visual", {"avg_pool": (mc3.CHANNELS,)}, build, mc3.NETWORKS[name].weights)


def _small(what: str, modality: str, shapes, builder: Callable[[int], keras.Model], **whole_second) -> _Entry:
    frames = (small.FRAMES_A_SECOND, small.FRAME_SIZE) if modality == "visual" else ()

    def build(variant, seed):
        model = small.averaged(builder(seed)) if variant == "avg_pool" else builder(seed)
        return Network(model, lambda inputs: inputs, *frames, **whole_second)

    return _Entry(f"small seeded network, {what}, for synthetic clips", modality, shapes, build)


# The name of random weights includes a seed other than 0, so that `extractor_for` can recreate them.
_SEEDED = "none-seed"

_REGISTRY = {
    "vggish": _Entry(
        "VGGish, audio; the default is the embedding after the last ReLU, as in AVE's released features",
        "audio",
        vggish.VARIANTS,
        _vggish,
        vggish.WEIGHTS,
        vggish.weights_file,
    ),
    "yamnet": _Entry(
        "YAMNet (AudioSet), audio: embedding, last map, or scores of 521 classes",
        "audio",
        yamnet.VARIANTS,
        _yamnet,
        yamnet.WEIGHTS,
        lambda _, folder: yamnet.weights_file(folder),
    ),
    "efficientnet_lite0": _Entry(
        "EfficientNet-Lite0 (ImageNet), frames: last map, its spatial average, or scores of 1000 classes; mean over 4 "
        "frames per second",
        "visual",
        efficientnet.VARIANTS,
        _efficientnet,
        efficientnet.WEIGHTS,
    ),
    "vgg19": _imagenet("vgg19", "VGG-19 (ImageNet), frames: feature maps of the last pooling layer"),
    "densenet201": _imagenet(
        "densenet201", "DenseNet-201 (ImageNet), frames: the last activation or its spatial average"
    ),
    "r2plus1d_18": _video("r2plus1d_18", "R(2+1)D-18"),
    "mc3_18": _video("mc3_18", "MC3-18"),
    "r3d_18": _video("r3d_18", "R3D-18"),
    "c3d": _Entry(
        "C3D (Sports-1M), frames: 16 per second as one clip; the last pooling's mean or fc6",
        "visual",
        c3d.VARIANTS,
        _c3d,
        c3d.WEIGHTS,
        lambda _, folder: c3d.weights_file(folder),
    ),
    "small_visual": _small("frames", "visual", {"pool5": (7, 7, 512), "avg_pool": (512,)}, small.build_small_visual),
    "small_audio": _small("audio", "audio", {"embedding": (128,)}, small.build_small_audio),
    "small_audio_map": _small(
        "audio by time and frequency", "audio", {"pool4": (6, 4, 512)}, small.build_small_audio_map
    ),
    "small_motion": _small(
        "differences between frames", "visual", {"pool5": (512,)}, small.build_small_motion, whole_second=True
    ),
}
# The files that each network needs.
SOURCES: dict[str, tuple[WeightFile, ...]] = {
    "yamnet": (yamnet.WEIGHTS, yamnet.CLASS_MAP),
    "efficientnet_lite0": (efficientnet.WEIGHTS, efficientnet.NAMES),
    "vggish": (vggish.WEIGHTS, vggish.PCA),
    **{name: (network.weights,) for name, network in (imagenet.NETWORKS | mc3.NETWORKS).items()},
    "c3d": (c3d.WEIGHTS,),
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
      weights: "default" (pretrained, downloaded where that is possible and no file is found), "none" (seeded random) or
        a weight file; see the network's module. The small networks are always seeded random.
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
    if entry.weights is None:
        if weights not in ("default", "none"):
            raise InputError(f"{weights}: the small networks have no weight files; use the weights 'none'.")
        network, label = entry.build(variant, seed), "none"
    elif weights == "none":
        network, label = entry.build(variant, None, weights_dir), "none"
        fill_seeded(network.model, seed)
    else:
        if weights != "default":
            path = Path(weights)
        else:
            path = entry.default(variant, weights_dir) if entry.default else entry.weights.obtained(weights_dir)
        network, label = entry.build(variant, path, weights_dir), entry.weights.label_of(path)
    network.model.trainable = False
    if label == "none" and seed:
        label = f"{_SEEDED}{seed}"
    info = FeatureInfo(network_name, variant, label, _identity(network), entry.shapes[variant])
    return Extractor(info, entry.modality, network)


def weight_files(networks: Sequence[str]) -> dict[str, tuple[WeightFile, ...]]:
    """Name -> the files that a network needs, of all networks where none is named; InputError for an unknown one."""
    unknown = [name for name in networks if name not in SOURCES]
    if unknown:
        raise InputError(f"{unknown[0]}: there is no such network; choose one of {', '.join(SOURCES)}.")
    return {name: SOURCES[name] for name in networks or SOURCES}


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
    if any(entry.weights and info.weights == entry.weights.label for entry in _REGISTRY.values()):
        return "default", 0
    path = find_weights([info.weights], weights_dir)
    if path is None:
        folders = ", ".join(str(folder) for folder in search_folders(weights_dir))
        raise InputError(f"{info.weights}: the weight file that {info.label} needs is not in {folders}; put it there.")
    return path, 0
