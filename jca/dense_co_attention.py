"""Dense co-attention (Nguyen & Okatani 2018), the "Co-Attention [12]" of Table 2, between seconds of both modalities.

Their paper, Section 3.2, with the time steps of video and audio for image regions and words.
"""

import keras
from keras import ops

from jca.layers import xavier


@keras.saving.register_keras_serializable(package="jca")
class DenseCoAttention(keras.layers.Layer):
    """One dense co-attention layer: each modality's time steps attend to those of the other.

    - V+, A+: V `(time, d_v)` and A `(time, d_a)`, each followed by learned memory rows, which a time step attends to
      if nothing in the other modality fits,
    - affinity for each head: F = (V+ W_v) (A+ W_a)^T / sqrt(d_h), `(time + memory, time + memory)`,
    - video attends to audio by the softmax of F over its columns, audio to video by that of the same F over its rows;
      both are averaged over the heads,
    - V' = V + dropout(ReLU(Dense([V; dropout(softmax(F)) A+]))), and A' likewise.

    Args:
      heads: number of affinities; they share min(d_v, d_a) channels.
      memory: number of memory rows of each modality; their paper has 3 and 4 heads.
      dropout: rate for the attention weights and for the update, in training.

    Inputs: video `(batch, time, d_v)` and audio `(batch, time, d_a)`; outputs as inputs.

    Raises:
      ValueError: the heads do not divide the channels.
    """

    def __init__(self, heads: int = 4, memory: int = 3, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.memory = memory
        self.dropout = dropout

    def build(self, video_shape, audio_shape):
        sizes = {"video": video_shape[-1], "audio": audio_shape[-1]}
        channels = min(sizes.values())
        if channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {channels} channels")
        kind = {"dtype": self.dtype_policy}
        self.projections, self.rows, self.outs = {}, {}, {}
        # Each dropout layer draws its own masks.
        self.drop_weights = {modality: keras.layers.Dropout(self.dropout, **kind) for modality in sizes}
        self.drop_update = {modality: keras.layers.Dropout(self.dropout, **kind) for modality in sizes}
        for modality, size in sizes.items():
            rows = self.add_weight(shape=(self.memory, size), initializer="glorot_uniform", name=f"{modality}_memory")
            projection = keras.layers.Dense(channels, use_bias=False, name=f"{modality}_projection", **kind)
            projection.build((None, None, size))
            out = xavier(size, sum(sizes.values()), activation="relu", name=f"{modality}_out", **kind)
            self.rows[modality], self.projections[modality], self.outs[modality] = rows, projection, out

    def call(self, video, audio, training=False):
        own = {"video": video, "audio": audio}
        extended = {modality: self._with_memory(modality, x) for modality, x in own.items()}
        projected = {modality: self._by_head(self.projections[modality](x)) for modality, x in extended.items()}
        scale = projected["video"].shape[-1] ** -0.5
        affinity = ops.matmul(projected["video"] * scale, ops.transpose(projected["audio"], (0, 1, 3, 2)))
        of_audio = self._update("video", video, extended["audio"], affinity, training)
        of_video = self._update("audio", audio, extended["video"], ops.transpose(affinity, (0, 1, 3, 2)), training)
        return video + of_audio, audio + of_video

    def _with_memory(self, modality: str, x):
        rows = ops.cast(ops.convert_to_tensor(self.rows[modality]), x.dtype)
        return ops.concatenate([x, ops.broadcast_to(rows, (ops.shape(x)[0], *rows.shape))], axis=1)

    def _by_head(self, x):
        """`(batch, rows, channels)` -> `(batch, heads, rows, channels of a head)`."""
        x = ops.reshape(x, (-1, x.shape[1], self.heads, x.shape[2] // self.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def _update(self, modality: str, own, other, affinity, training):
        """What is added to the time steps `own`: the memory rows attend to nothing, so their rows are left out."""
        weights = ops.mean(ops.softmax(affinity[:, :, : own.shape[1]], axis=-1), axis=1)
        attended = ops.matmul(self.drop_weights[modality](weights, training=training), other)
        updated = self.outs[modality](ops.concatenate([own, attended], axis=-1))
        return self.drop_update[modality](updated, training=training)

    def compute_output_shape(self, video_shape, audio_shape):
        return tuple(video_shape), tuple(audio_shape)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "memory": self.memory, "dropout": self.dropout}
