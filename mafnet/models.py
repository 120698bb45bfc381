"""The paper's models: MAFnet written out, then its ablations and the systems it is compared with."""

import keras
from keras import layers

from ave.config import model_config as dmrn_config
from ave.fusion import DMRN
from ave.models import segment_classifier
from avpipeline.nn.dense import linear
from mafnet.config import MODALITIES, OWN, ModelConfig, model_config
from mafnet.fusion import CompactBilinear
from mafnet.layers import (
    AttentionCluster,
    FiLMedResidualBlock,
    MapMean,
    ModalityAttention,
    ModalityTemporalAttention,
    ResidualBlock,
    TemporalAttention,
    batch_norm,
)
from mafnet.recipe import UpdateDropping

ATTENTION_LAYER = "attention"
_ATTENTIONS = {
    "temporal": TemporalAttention,
    "modality": ModalityAttention,
    "modality_temporal": ModalityTemporalAttention,
}
# The settings of `ModelConfig` that decide which layers there are. MAFnet has the default of each.
_STRUCTURE = ("system", "modalities", "visual_block", "audio_block", "attention", "fusion")


def mafnet(config: ModelConfig, name: str = "mafnet") -> keras.Model:
    """MAFnet, the multi-level attention fusion network (Figure 1).

    Inputs `{"visual": (batch, clips, 1920) or (batch, clips, 7, 7, 1920), "audio": (batch, clips, 12, 8, 512)}`;
    output: a video's class probabilities `(batch, classes)`.
    """
    # Section 4.2: for each clip, DenseNet's feature map, or its mean as in the authors' files, and VGGish's feature map
    visual = keras.Input((config.num_segments, *config.visual_shape), name="visual")
    audio = keras.Input((config.num_segments, *config.audio_shape), name="audio")
    visual_vectors = visual if len(config.visual_shape) == 1 else MapMean(name="visual_mean")(visual)

    # Section 3.4, last paragraph: a dense layer for each modality, so that both have the same size;
    # Section 4.3: batch normalization after it
    x = layers.Dense(config.units, name="visual_dense")(visual_vectors)
    x = batch_norm(config.norm_decay, name="visual_norm")(x)
    visual_features = layers.ReLU(name="visual_relu")(x)

    # Section 3.5, Figure 4, Eq. 11 and Eq. 12: FiLM, by which the visual features modulate the audio maps
    block = FiLMedResidualBlock(config.filters, config.film_scale, config.norm_decay, name="audio_block")
    maps, _, _ = block(audio, visual_vectors)
    x = MapMean(name="audio_block_mean")(maps)
    x = layers.Dense(config.units, name="audio_dense")(x)
    x = batch_norm(config.norm_decay, name="audio_norm")(x)
    audio_features = layers.ReLU(name="audio_relu")(x)

    # Section 3.4, Eq. 7: X' has a row for each clip and in it the modalities; the authors' code puts visual first
    x = layers.Concatenate(name="cells")([visual_features, audio_features])
    x = layers.Reshape((config.num_segments, 2, config.units), name="cells_by_modality")(x)
    # Eq. 8, Eq. 9 and the sums over time of Eq. 10
    pooled, _ = ModalityTemporalAttention(config.attention_score, config.units, name=ATTENTION_LAYER)(x)
    # Eq. 10: o = concat(visual, audio)
    fused = layers.Concatenate(name="fusion")([pooled[:, 0], pooled[:, 1]])

    # Section 3.1: the class probabilities y; the authors' code normalizes the scores
    scores = layers.Dense(config.num_classes, name="classifier")(fused)
    if config.logits_norm:
        scores = batch_norm(config.norm_decay, name="classifier_norm")(scores)
    # float32 also under mixed precision: the loss needs the small probabilities.
    probabilities = layers.Softmax(name="video", dtype="float32")(scores)

    # Section 3.6: a model whose training step leaves out the updates of one path at random
    return UpdateDropping({"visual": visual, "audio": audio}, probabilities, name=name)


def build_model(name: str = "mafnet", preset: str = "code", **overrides) -> keras.Model:
    """One of `mafnet.MODELS`, freshly initialised.

    Args:
      name: key of `mafnet.MODELS`.
      preset: "code" or "paper".
      **overrides: fields of `mafnet.ModelConfig`, e.g. `num_classes=8`.

    Returns:
      Functional model. Inputs, those of the following that the model uses: `{"visual": (batch, clips, 1920) or
      (batch, clips, 7, 7, 1920), "audio": (batch, clips, 12, 8, 512)}`. Output: a video's class probabilities
      `(batch, classes)`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return classifier(model_config(name, preset, **overrides), name)


def classifier(config: ModelConfig, name: str) -> keras.Model:
    """The network that `config` describes: MAFnet, an ablation of it, or a system it is compared with."""
    return OWN.built(name, config, mafnet if is_mafnet(config) else assembled)


def is_mafnet(config: ModelConfig) -> bool:
    """Whether `config` describes MAFnet, of any size and preset."""
    has_audio_map = len(config.audio_shape) == 3
    return has_audio_map and all(getattr(config, setting) == getattr(ModelConfig(), setting) for setting in _STRUCTURE)


def assembled(config: ModelConfig, name: str) -> keras.Model:
    """Any of the paper's networks, assembled from the parts that `config` names; inputs and output are MAFnet's."""
    shapes = {modality: getattr(config, f"{modality}_shape") for modality in config.modalities}
    inputs = {modality: keras.Input((config.num_segments, *shape), name=modality) for modality, shape in shapes.items()}
    if config.system == "dmrn":
        return keras.Model(inputs, _dmrn(config, inputs), name=name)
    if config.system == "attention_cluster":
        return keras.Model(inputs, _attention_clusters(config, inputs), name=name)
    vectors = {modality: _mean(modality, x) for modality, x in inputs.items()}
    paths = [_path(config, modality, inputs, vectors) for modality in config.modalities]
    features = _over_time(config, paths)
    probabilities = _probabilities(config, features[0] if len(features) == 1 else _fuse(config, *features))
    # Update dropping leaves out one of two paths, so it needs both.
    model = UpdateDropping if len(inputs) == 2 else keras.Model
    return model(inputs, probabilities, name=name)


def _mean(modality: str, x):
    """`(batch, clips, channels)`: the mean of maps; vectors stay as they are."""
    return x if len(x.shape) == 3 else MapMean(name=f"{modality}_mean")(x)


def _path(config: ModelConfig, modality: str, inputs: dict, vectors: dict):
    """One modality's path up to the attention, `(batch, clips, units)`: block, mean, Dense, BN, ReLU."""
    x = vectors[modality]
    block = {"visual": config.visual_block, "audio": config.audio_block}[modality]
    if block != "none":
        maps = inputs[modality]
        if len(maps.shape) == 3:
            maps = layers.Reshape((maps.shape[1], 1, 1, maps.shape[2]), name=f"{modality}_one_region")(maps)
        sizes = {"filters": config.filters, "norm_decay": config.norm_decay, "name": f"{modality}_block"}
        if block == "film":
            (other,) = (vectors[name] for name in MODALITIES if name != modality)
            maps, _, _ = FiLMedResidualBlock(scale=config.film_scale, **sizes)(maps, other)
        else:
            maps = ResidualBlock(**sizes)(maps)
        x = MapMean(name=f"{modality}_block_mean")(maps)
    x = layers.Dense(config.units, name=f"{modality}_dense")(x)
    x = batch_norm(config.norm_decay, name=f"{modality}_norm")(x)
    return layers.ReLU(name=f"{modality}_relu")(x)


def _over_time(config: ModelConfig, paths: list) -> list:
    """The features of the whole video from each path, `(batch, units)`."""
    if config.attention == "none":
        return [layers.GlobalAveragePooling1D(name=f"mean_{index}")(path) for index, path in enumerate(paths)]
    clips, units = paths[0].shape[1:]
    cells = layers.Concatenate(name="cells")(paths) if len(paths) > 1 else paths[0]
    # Eq. 7: X', as in `mafnet`
    cells = layers.Reshape((clips, len(paths), units), name="cells_by_modality")(cells)
    separate = config.attention == "temporal" and config.temporal_scorer == "separate"
    attention = _ATTENTIONS[config.attention]
    features, _ = attention(config.attention_score, config.units, separate, name=ATTENTION_LAYER)(cells)
    return [features[:, index] for index in range(len(paths))]


def _fuse(config: ModelConfig, visual, audio):
    if config.fusion == "addition":
        return layers.Add(name="fusion")([visual, audio])
    if config.fusion == "mcb":
        pooling = CompactBilinear(config.mcb_channels, config.mcb_seed, config.mcb_normalized, name="fusion")
        return pooling(visual, audio)
    if config.fusion == "dmr":
        return DMRN(config.units, name="fusion")(audio, visual)
    return layers.Concatenate(name="fusion")([visual, audio])


def _probabilities(config: ModelConfig, x):
    """Class probabilities; float32 also under mixed precision, as in `mafnet`."""
    x = layers.Dense(config.num_classes, name="classifier")(x)
    if config.logits_norm:
        x = batch_norm(config.norm_decay, name="classifier_norm")(x)
    return layers.Softmax(name="video", dtype="float32")(x)


def _attention_clusters(config: ModelConfig, inputs: dict):
    """Attention Cluster (Long et al. 2018): a cluster for each modality, concatenated, then a dense layer."""
    clusters = [
        AttentionCluster(config.cluster_units, name=f"{modality}_cluster")(_mean(modality, x))
        for modality, x in inputs.items()
    ]
    x = layers.Concatenate(name="clusters")(clusters)
    x = layers.Dropout(config.cluster_dropout, name="drop_clusters")(x)
    scores = linear(config.num_classes, x.shape[-1], name="classifier")(x)
    return layers.Softmax(name="video", dtype="float32")(scores)


def _dmrn(config: ModelConfig, inputs: dict):
    """AVE's DMRN, whose class scores are averaged over the segments of the video.

    Its audio-guided attention needs a visual map. For the vectors in the authors' files (`visual_shape=(1920,)`) it is
    left out, which is not in any row of the paper.
    """
    has_map = len(config.visual_shape) == 3
    visual, audio = inputs["visual"], _mean("audio", inputs["audio"])
    if not has_map:
        visual = layers.Reshape((visual.shape[1], 1, 1, visual.shape[2]), name="visual_one_region")(visual)
    network = segment_classifier(
        dmrn_config(
            "dmrn",
            visual="attention" if has_map else "mean",
            weak=True,
            mil_pooling="mean",
            attention_units=config.dmrn_attention_units,
            lstm_units=config.dmrn_lstm_units,
            num_classes=config.num_classes,
            num_segments=config.num_segments,
            audio_channels=audio.shape[-1],
            visual_shape=visual.shape[2:],
        ),
        "segments",
    )
    return network({"audio": audio, "visual": visual})["video"]


def has_attention(model: keras.Model) -> bool:
    """Whether the model has one of the paper's attention modules."""
    return any(layer.name == ATTENTION_LAYER for layer in model.layers)


def with_attention(model: keras.Model) -> keras.Model:
    """A model that shares the weights of `model` and also returns its attention weights (Figure 3).

    Returns:
      Model with the outputs `"video": (batch, classes)` and `"attention": (batch, clips, modalities)`, the
      modalities in the order visual, audio.

    Raises:
      ValueError: the model has no attention module.
    """
    if not has_attention(model):
        raise ValueError(f"{model.name} has no attention to show; mafnet has")
    weights = model.get_layer(ATTENTION_LAYER).output[1]
    return keras.Model(model.input, {"video": model.output, "attention": weights}, name=f"{model.name}_attention")


def with_film(model: keras.Model) -> keras.Model:
    """A model that shares the weights of `model` and also returns the embeddings around its FiLM layers (Figure 7).

    Returns:
      Model with the output `"video"` and two outputs for each path with FiLM, e.g. `"audio_before"` and
      `"audio_after"`: the maps' means just before and just after the FiLM layer, `(batch, clips, filters)`.

    Raises:
      ValueError: the model has no FiLM layer.
    """
    blocks = [layer for layer in model.layers if isinstance(layer, FiLMedResidualBlock)]
    if not blocks:
        raise ValueError(f"{model.name} has no FiLM layer to show; mafnet has")
    outputs = {"video": model.output}
    for block in blocks:
        modality = block.name.removesuffix("_block")
        outputs |= {f"{modality}_before": block.output[1], f"{modality}_after": block.output[2]}
    return keras.Model(model.input, outputs, name=f"{model.name}_film")
