"""The papers' networks, with few units."""

import keras

import attendfusion
import ave
import eventlayers
import jca
import mafnet
from avpipeline.features.info import FeatureInfo
from avpipeline.training.saved import ModelInfo, save_model

_MAPS = {"num_classes": 5, "num_segments": 2, "audio_channels": 8, "visual_shape": (2, 2, 8)}
# Paper -> package, headline model, sizes.
HEADLINES = {
    "ave": (ave, "av_att", {**_MAPS, "attention_units": 8, "lstm_units": 8, "hidden_units": 8}),
    "mafnet": (mafnet, "mafnet", {"num_classes": 5, "num_segments": 3, "units": 8, "filters": 8,
                                  "visual_shape": (16,), "audio_shape": (3, 2, 8)}),
    "jca": (jca, "jca", {**_MAPS, "audio_size": 8, "video_size": 8, "recursions": 1, "num_layers": 1}),
    "attendfusion": (attendfusion, "attend_fusion", {"num_classes": 5, "width": 16, "audio_channels": 4,
                                                     "visual_channels": 6}),
    "eventlayers": (eventlayers, "event_layers", {"num_classes": 5, "num_moments": 12, "visual_channels": 8,
                                                  "audio_channels": 8}),
}  # fmt: skip


def saved_small(path, paper: str, model: str | None = None, dataset: str = "rendered", **sizes) -> keras.Model:
    """Saves a paper's headline model, or another one of its models, with random weights."""
    package, headline, small = HEADLINES[paper]
    keras.utils.set_random_seed(1)
    network = package.build_model(model or headline, **{**small, **sizes})
    features = {
        name: FeatureInfo("vggish", "embedding", "audioset", "", tensor.shape[2:] or (1,))
        for name, tensor in network.input.items()
        if name in ("audio", "visual")
    }
    preset = package.PRESETS[0]
    save_model(network, path, ModelInfo(paper, model or headline, preset, tuple("abcde"), features, dataset))
    return network
