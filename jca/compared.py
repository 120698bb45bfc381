"""The two systems of Table 1 that are neither JCA nor AVE's: AVSDN and DAM.

No code by their authors is known here. The shapes follow their papers and this one; what these leave open is listed
under the README's assumptions.
"""

import keras
from keras import ops

from ave.layers import AudioGuidedAttention
from ave.models import ATTENTION_LAYER
from jca.config import ModelConfig
from jca.layers import xavier


def segment_inputs(config: ModelConfig) -> dict:
    """The inputs of all networks here, `(batch, time, ...)` each."""
    return {
        "audio": keras.Input((config.num_segments, config.audio_channels), name="audio"),
        "visual": keras.Input((config.num_segments, *config.visual_shape), name="visual"),
    }


def _attended(config: ModelConfig, inputs: dict):
    """Audio-guided visual attention as in AVE: visual vectors `(batch, time, channels)`."""
    layer = AudioGuidedAttention(config.video_size, name=ATTENTION_LAYER)
    return layer(inputs["audio"], inputs["visual"])[0]


def segment_probabilities(config: ModelConfig, x):
    """The MLP at the end of JCA: `(batch, time, video_size)` -> probabilities `(batch, time, classes)`."""
    x = xavier(max(1, config.video_size // 4), config.video_size, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(config.dropout, name="drop_hidden")(x)
    x = xavier(config.num_classes, x.shape[-1], name="classifier")(x)
    # float32 also under mixed precision: the loss needs the small probabilities.
    return keras.layers.Softmax(name="segments", dtype="float32")(x)


def _avsdn(config: ModelConfig, name: str) -> keras.Model:
    """AVSDN (Lin et al. 2019): an LSTM for each modality encodes the video, a third decodes its labels.

    The encoders' last hidden and cell states, fused, are the decoder's initial state: global information. At each
    segment it reads both modalities' features of that segment: local information.
    """
    inputs = segment_inputs(config)
    features = {"audio": inputs["audio"], "video": _attended(config, inputs)}
    sizes = {"audio": config.audio_size, "video": config.video_size}
    last = []
    for modality, sequence in features.items():
        # Unrolled: a while loop of ten steps costs more than the steps.
        encoder = keras.layers.LSTM(sizes[modality], return_state=True, unroll=True, name=f"encoder_{modality}")
        last.append(encoder(sequence)[1:])
    start = [
        xavier(config.video_size, sum(sizes.values()), activation="tanh", name=f"fused_{kind}")(
            keras.layers.Concatenate(name=f"both_{kind}")(list(states))
        )
        for kind, states in zip(("hidden", "cell"), zip(*last, strict=True), strict=True)
    ]
    local = keras.layers.Concatenate(name="local")(list(features.values()))
    decoder = keras.layers.LSTM(config.video_size, return_sequences=True, unroll=True, name="decoder")
    return keras.Model(inputs, segment_probabilities(config, decoder(local, initial_state=start)), name=name)


@keras.saving.register_keras_serializable(package="jca")
class EventPooling(keras.layers.Layer):
    """Mean over the segments of an event: `(batch, time, channels)` -> `(batch, channels)`.

    Only training knows which segments belong to the event. It sets `segments`, `(batch, time)`: those that are 1 count,
    or all if none is. Where it is None, the mean is over all segments.
    """

    segments = None

    def call(self, sequence):
        if self.segments is None:
            return ops.mean(sequence, axis=1)
        segments = ops.cast(self.segments, sequence.dtype)
        some = ops.any(segments > 0, axis=1, keepdims=True)
        weights = ops.expand_dims(ops.where(some, segments, ops.ones_like(segments)), -1)
        return ops.sum(weights * sequence, axis=1) / ops.sum(weights, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[2]


@keras.saving.register_keras_serializable(package="jca")
class CrossModalMatch(keras.layers.Layer):
    """How well each segment of one modality matches the other's event: sigmoid of their scaled dot product.

    Inputs: local features `(batch, time, channels)` and the other modality's event `(batch, channels)`; output
    `(batch, time)`.

    Args:
      sigmoid: whether to apply it; DAM leaves that to `EventScores`.
    """

    def __init__(self, sigmoid: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.sigmoid = sigmoid

    def call(self, local, event):
        products = ops.sum(local * ops.expand_dims(event, 1), axis=-1) / local.shape[-1] ** 0.5
        return ops.sigmoid(products) if self.sigmoid else products

    def get_config(self):
        return {**super().get_config(), "sigmoid": self.sigmoid}

    def compute_output_shape(self, local_shape, event_shape):
        return tuple(local_shape[:2])


@keras.saving.register_keras_serializable(package="jca")
class EventScores(keras.layers.Layer):
    """Scores whose softmax are the class probabilities of each segment, from the event's category and two matches.

    p(event class c in segment t) = relevance_t * category_c, p(background in t) = 1 - relevance_t, where relevance is
    the mean of the sigmoids of both matches and category a softmax. The scores are the logarithms, so that
    cross-entropy has its gradient where a probability rounds to 0.

    Inputs: the category's scores `(batch, events)`, both matches before the sigmoid `(batch, time)`; output
    `(batch, time, events + 1)`, background last.
    """

    def call(self, category, heard, watched):
        matches = ops.stack([heard, watched])
        # The factor 1/2 of the mean is the same for all classes.
        relevant, irrelevant = (
            ops.expand_dims(ops.logsumexp(ops.log_sigmoid(sign * matches), axis=0), -1) for sign in (1, -1)
        )
        events = relevant + ops.expand_dims(ops.log_softmax(category, axis=-1), 1)
        return ops.concatenate([events, irrelevant], axis=-1)

    def compute_output_shape(self, category_shape, heard_shape, watched_shape):
        return (*heard_shape, category_shape[-1] + 1)


@keras.saving.register_keras_serializable(package="jca")
class DualAttentionMatching(keras.Model):
    """DAM's functional model; in training it knows which segments belong to the event."""

    def train_step(self, *state_and_data):
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(state_and_data[-1])
        # Everything but background, the last class.
        segments = 1 - ops.cast(labels[..., -1], "float32")
        pools = [layer for layer in self.layers if isinstance(layer, EventPooling)]
        try:
            for pool in pools:
                pool.segments = segments
            return super().train_step(*state_and_data)
        finally:
            for pool in pools:
                pool.segments = None


def _dam(config: ModelConfig, name: str) -> keras.Model:
    """DAM (Wu et al. 2019): each modality's event, pooled over the video, is matched with the other's segments.

    Self-attention lets each modality see the whole video; its mean over the event is its global feature. The category
    is predicted from both. A segment's relevance is how well its audio matches the visual event and its frame the
    auditory one.
    """
    inputs, size = segment_inputs(config), config.video_size
    local = {}
    for modality, sequence in (("audio", inputs["audio"]), ("video", _attended(config, inputs))):
        x = xavier(size, sequence.shape[-1], activation="relu", name=f"local_{modality}")(sequence)
        seen = keras.layers.MultiHeadAttention(1, size, name=f"self_attention_{modality}")(x, x)
        x = keras.layers.Add(name=f"with_{modality}")([x, seen])
        local[modality] = keras.layers.LayerNormalization(name=f"normalized_{modality}")(x)
    event = {modality: EventPooling(name=f"events_{modality}")(x) for modality, x in local.items()}
    x = keras.layers.Concatenate(name="both_events")(list(event.values()))
    x = keras.layers.Dropout(config.dropout, name="drop_events")(x)
    category = xavier(config.num_classes - 1, 2 * size, name="category")(x)
    own = {"sigmoid": False, "dtype": "float32"}
    heard = CrossModalMatch(name="audio_in_video_event", **own)(local["audio"], event["video"])
    watched = CrossModalMatch(name="video_in_audio_event", **own)(local["video"], event["audio"])
    scores = EventScores(name="segment_scores", dtype="float32")(category, heard, watched)
    segments = keras.layers.Softmax(name="segments", dtype="float32")(scores)
    return DualAttentionMatching(inputs, segments, name=name)


# System -> its builder, `(config, name)`.
SYSTEMS = {"avsdn": _avsdn, "dam": _dam}
