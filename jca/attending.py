"""value @ dropout(tanh(key @ query)): where joint co-attention spends its time.

The scores tanh(key @ query) of one modality, `(batch, 512, 1024)` at the published sizes, are 134 MB; a training
step has eight of them, and they cost more than all else. Three things keep that down. The scale is folded into the
key and the kept share into the value, which are a hundred times smaller. One random byte decides whether a score is
dropped, since random numbers are the largest part of dropout. And a gradient of its own needs the dropped scores and
one byte of mask an element, nothing else.
"""

import keras
import tensorflow as tf

_LEVELS = 256


def attend(value, key, query, *, rate: float = 0.0, seed=None):
    """value @ dropout(tanh(key @ query)).

    Args:
      value: `(batch, rows, inner)`.
      key: `(batch, inner, steps)`.
      query: `(batch, steps, columns)`.
      rate: share of the scores `(batch, inner, columns)` left out, in [0, 1).
      seed: two whole numbers that decide which; None leaves out nothing.

    Returns:
      `(batch, rows, columns)`.
    """
    if seed is None or not rate:
        return tf.matmul(value, tf.tanh(tf.matmul(key, query)))
    kept, kept_share = _kept((*tf.unstack(tf.shape(key)[:2]), query.shape[-1]), rate, seed)
    # What is kept is divided by its share, so that the expected product stays the same.
    return _attend_to_kept(value / tf.cast(kept_share, value.dtype), key, query, kept)


def _kept(shape, rate: float, seed):
    """Truth values of `shape`, and the share of true ones that is expected.

    A score is dropped where its byte is below a level. A byte's levels are 1/256 apart, so the level itself is drawn
    for each call from the two next to the rate: over calls the share that is dropped is the rate.
    """
    # The generators are named, so that every device draws the same.
    seed = tf.bitcast(keras.ops.cast(seed, "uint32"), tf.int32)
    *outer, columns = shape
    drawn = tf.random.stateless_uniform([*outer, -(-columns // 8)], seed, None, None, tf.uint64, alg="philox")
    drawn = tf.reshape(tf.bitcast(drawn, tf.uint8), [*outer, -1])[..., :columns]
    between = tf.random.stateless_uniform([], tf.bitwise.invert(seed), alg="philox")
    level = tf.minimum(tf.floor(rate * _LEVELS + between), _LEVELS - 1)
    return drawn >= tf.cast(level, tf.uint8), 1 - level / _LEVELS


@tf.custom_gradient
def _attend_to_kept(value, key, query, kept):
    scores = tf.tanh(tf.matmul(key, query)) * tf.cast(kept, key.dtype)

    def gradient(upstream):
        # tanh's gradient at a dropped score, which is 0 here, would be 1, so the mask is needed once more.
        inner = tf.raw_ops.TanhGrad(y=scores, dy=tf.matmul(value, upstream, transpose_a=True))
        inner *= tf.cast(kept, key.dtype)
        # The large matrix stands where the product is fastest, and the small one is transposed.
        return (
            tf.matmul(upstream, scores, transpose_b=True),
            tf.linalg.matrix_transpose(tf.matmul(query, inner, transpose_b=True)),
            tf.matmul(tf.linalg.matrix_transpose(key), inner),
            None,
        )

    return tf.matmul(value, scores), gradient
