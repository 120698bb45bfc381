"""value @ dropout(tanh(key @ query)): where joint co-attention spends its time.

The scores tanh(key @ query) of one modality, `(batch, 512, 1024)` at the published sizes, are 134 MB; a training
step has eight of them, and they cost more than all else. Three things keep that down. The caller folds the scale
into the key and the kept share into the value, which are a hundred times smaller. Random numbers of 16 bits decide
what is dropped. And a gradient of its own needs the dropped scores and the mask alone, one byte an element.
"""

import keras
import tensorflow as tf

_LEVELS = 2**16


def attend(value, key, query, *, rate: float = 0.0, seed=None):
    """value @ dropout(tanh(key @ query)).

    Args:
      value: `(batch, rows, inner)`.
      key: `(batch, inner, steps)`.
      query: `(batch, steps, columns)`.
      rate: share of the scores `(batch, inner, columns)` left out, to the nearest of 65536 levels.
      seed: two whole numbers that decide which; None leaves out nothing.

    Returns:
      `(batch, rows, columns)`.
    """
    if seed is None or not rate:
        return _attend(value, key, query)
    level = round(rate * _LEVELS)
    shape = tf.concat([tf.shape(key)[:2], tf.shape(query)[2:]], 0)
    # What is kept is divided by its share, so that the expected product stays the same.
    return _attend_to_kept(value * (_LEVELS / (_LEVELS - level)), key, query, _kept(shape, level, seed))


def _kept(shape, level: int, seed):
    """Truth values of `shape`, false with the probability level / 65536."""
    words = (tf.reduce_prod(shape) + 3) // 4
    # Four 16-bit numbers of each 64-bit one. The generator is named, so that every device draws the same.
    seed = tf.bitcast(keras.ops.cast(seed, "uint32"), tf.int32)
    drawn = tf.random.stateless_uniform([words], seed, None, None, tf.uint64, alg="philox")
    drawn = tf.reshape(tf.bitcast(drawn, tf.uint16), [-1])[: tf.reduce_prod(shape)]
    return tf.reshape(drawn >= tf.constant(level, tf.uint16), shape)


@tf.custom_gradient
def _attend_to_kept(value, key, query, kept):
    mask = tf.cast(kept, key.dtype)
    scores = tf.tanh(tf.matmul(key, query)) * mask

    def gradient(upstream):
        # Of a dropped score, which is 0 here, tanh's gradient would be 1, so the mask is needed once more.
        inner = tf.raw_ops.TanhGrad(y=scores, dy=tf.matmul(value, upstream, transpose_a=True))
        inner *= tf.cast(kept, key.dtype)
        return (
            tf.matmul(upstream, scores, transpose_b=True),
            tf.matmul(inner, query, transpose_b=True),
            tf.matmul(key, inner, transpose_a=True),
            None,
        )

    return tf.matmul(value, scores), gradient


def _attend(value, key, query):
    return tf.matmul(value, tf.tanh(tf.matmul(key, query)))
