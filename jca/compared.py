"""The two systems of Table 1 that are neither JCA nor AVE's: AVSDN and DAM.

Neither's authors' code is known here. The shapes are those that the papers' texts and this paper's say; what they
leave open is in the README's assumptions.
"""

import contextlib
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from keras import ops

from ave.layers import AudioGuidedAttention
from ave.models import ATTENTION_LAYER
from jca.config import ModelConfig
from jca.layers import xavier

EVENTS_LAYER = "events"


def _attended(config: ModelConfig, inputs: Mapping):
    """Visual vectors `(batch, time, channels)` under the sound's guidance, as in AVE."""
    layer = AudioGuidedAttention(config.video_size, name=ATTENTION_LAYER)
    return layer(inputs["audio"], inputs["visual"])[0]


def _avsdn(config: ModelConfig, inputs: Mapping, name: str) -> keras.Model:
    """AVSDN (Lin et al. 2019): one LSTM a modality reads the video, a third writes its labels.

    The encoders' last hidden and cell states, fused, are the state that the decoder begins with: global knowledge.
    At each second it reads both modalities' features of that second: local knowledge.
    """
    features = {"audio": inputs["audio"], "video": _attended(config, inputs)}
    sizes = {"audio": config.audio_size, "video": config.video_size}
    hidden, cell = [], []
    for modality, sequence in features.items():
        # Unrolled, since a while loop of ten steps costs more than the steps.
        encoder = keras.layers.LSTM(sizes[modality], return_state=True, unroll=True, name=f"encoder_{modality}")
        _, last_hidden, last_cell = encoder(sequence)
        hidden.append(last_hidden)
        cell.append(last_cell)
    start = [
        xavier(config.video_size, sum(sizes.values()), activation="tanh", name=f"fused_{kind}")(
            keras.layers.Concatenate(name=f"both_{kind}")(states)
        )
        for kind, states in (("hidden", hidden), ("cell", cell))
    ]
    local = keras.layers.Concatenate(name="local")(list(features.values()))
    decoder = keras.layers.LSTM(config.video_size, return_sequences=True, unroll=True, name="decoder")
    x = decoder(local, initial_state=start)
    x = xavier(max(1, config.video_size // 4), config.video_size, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(config.dropout, name="drop_hidden")(x)
    x = xavier(config.num_classes, x.shape[-1], name="classifier")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="segments", dtype="float32")(x), name=name)


@keras.saving.register_keras_serializable(package="jca")
class EventPooling(keras.layers.Layer):
    """The mean over the seconds of an event, `(batch, time, channels)` to `(batch, channels)`.

    Which seconds belong to the event is known in training alone: `restricted_to` says so for the calls inside it;
    else all seconds count.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._seconds = None

    @contextlib.contextmanager
    def restricted_to(self, seconds):
        """Within, only seconds count for which `seconds`, `(batch, time)` of 0 and 1, is 1; of none, all do."""
        self._seconds = seconds
        try:
            yield
        finally:
            self._seconds = None

    def call(self, sequence):
        if self._seconds is None:
            return ops.mean(sequence, axis=1)
        seconds = ops.cast(self._seconds, sequence.dtype)
        some = ops.any(seconds > 0, axis=1, keepdims=True)
        weights = ops.expand_dims(ops.where(some, seconds, ops.ones_like(seconds)), -1)
        return ops.sum(weights * sequence, axis=1) / ops.sum(weights, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[2]


@keras.saving.register_keras_serializable(package="jca")
class CrossModalMatch(keras.layers.Layer):
    """How well each second of one modality fits the other's event: sigmoid of their scaled product.

    Inputs: local features `(batch, time, channels)` and the other modality's event `(batch, channels)`; output
    `(batch, time)`.
    """

    def call(self, local, event):
        products = ops.sum(local * ops.expand_dims(event, 1), axis=-1)
        return ops.sigmoid(products / local.shape[-1] ** 0.5)

    def compute_output_shape(self, local_shape, event_shape):
        return tuple(local_shape[:2])


@keras.saving.register_keras_serializable(package="jca")
class EventAndRelevance(keras.layers.Layer):
    """Probabilities of each second's classes from an event's category and each second's relevance.

    p(event class c at second t) = relevance_t * category_c, p(background at t) = 1 - relevance_t.

    Inputs: category `(batch, events)`, which sums to 1, and relevance `(batch, time)`; output
    `(batch, time, events + 1)`, background last.
    """

    def call(self, category, relevance):
        relevance = ops.expand_dims(relevance, -1)
        return ops.concatenate([relevance * ops.expand_dims(category, 1), 1 - relevance], axis=-1)

    def compute_output_shape(self, category_shape, relevance_shape):
        return (*relevance_shape, category_shape[-1] + 1)


@keras.saving.register_keras_serializable(package="jca")
class DualAttentionMatching(keras.Model):
    """DAM's functional model, which in training is told which seconds belong to the event."""

    def train_step(self, data):
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        # Everything but background, the last class.
        seconds = 1 - tf.cast(labels[..., -1], "float32")
        with contextlib.ExitStack() as stack:
            for layer in self.layers:
                if isinstance(layer, EventPooling):
                    stack.enter_context(layer.restricted_to(seconds))
            return super().train_step(data)


def _dam(config: ModelConfig, inputs: Mapping, name: str) -> keras.Model:
    """DAM (Wu et al. 2019): each modality's event, pooled over the video, is looked for in the other's seconds.

    Self-attention lets each modality see the whole video; its mean over the event is its global feature. Both
    together tell the category. A second is relevant as far as its sound fits the visual event and its picture the
    audible one.
    """
    size = config.video_size
    local = {}
    for modality, sequence in (("audio", inputs["audio"]), ("video", _attended(config, inputs))):
        x = xavier(size, sequence.shape[-1], activation="relu", name=f"local_{modality}")(sequence)
        seen = keras.layers.MultiHeadAttention(1, size, name=f"self_attention_{modality}")(x, x)
        x = keras.layers.Add(name=f"with_{modality}")([x, seen])
        local[modality] = keras.layers.LayerNormalization(name=f"normalized_{modality}")(x)
    event = {modality: EventPooling(name=f"{EVENTS_LAYER}_{modality}")(x) for modality, x in local.items()}
    x = keras.layers.Concatenate(name="both_events")(list(event.values()))
    x = keras.layers.Dropout(config.dropout, name="drop_events")(x)
    category = xavier(config.num_classes - 1, 2 * size, name="category")(x)
    category = keras.layers.Softmax(name="category_probabilities", dtype="float32")(category)
    heard = CrossModalMatch(name="audio_in_video_event", dtype="float32")(local["audio"], event["video"])
    watched = CrossModalMatch(name="video_in_audio_event", dtype="float32")(local["video"], event["audio"])
    relevance = keras.layers.Average(name="relevance", dtype="float32")([heard, watched])
    segments = EventAndRelevance(name="segments", dtype="float32")(category, relevance)
    return DualAttentionMatching(inputs, segments, name=name)


# System -> its builder, `(config, inputs, name)`.
SYSTEMS: dict[str, Callable[[ModelConfig, Mapping, str], keras.Model]] = {"avsdn": _avsdn, "dam": _dam}
