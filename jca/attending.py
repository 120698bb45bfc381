"""value @ dropout(tanh(key @ query)), the product in which joint co-attention spends most of its time.

The scores tanh(key @ query) of one modality, `(batch, 512, 1024)` at the published sizes, take 134 MB; a training
step has eight of them, and they cost more than everything else. Four things keep the cost down:

- The batch is processed in pieces, one at a time, whose scores, 4 MB, stay in the CPU cache from one operation to the
  next. The gradient reads the pieces back: recomputing them costs a third more, and joining them a copy.
- The custom gradient keeps only the dropped scores and one byte of mask an element.
- Drawing random numbers is the largest part of dropout. One random byte decides whether a score is dropped, and three
  of four bytes are derived from the fourth.
- The scale is folded into the key and the keep probability into the value, which are a hundred times smaller.
"""

import keras
import tensorflow as tf

_LEVELS = 256
_PIECE_BYTES = 2**22
# Words from one draw: itself, and those derived from it with the odd factors of SplitMix64's last step.
_WORDS_A_DRAW = 4
_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def attend(value, key, query, *, rate: float = 0.0, seed=None):
    """value @ dropout(tanh(key @ query)), `(batch, rows, columns)`.

    Args:
      value, key, query: `(batch, rows, inner)`, `(batch, inner, steps)` and `(batch, steps, columns)`.
      rate: share of the scores `(batch, inner, columns)` that is dropped, in [0, 1).
      seed: two integers that decide which; None drops nothing.
    """
    if seed is None or not rate:
        return tf.matmul(value, tf.tanh(tf.matmul(key, query)))
    kept, kept_share = _kept((*tf.unstack(tf.shape(key)[:2]), query.shape[-1]), rate, seed)
    # Divided by the share that is kept, so that the expected product stays the same.
    return _attend_to_kept(value / tf.cast(kept_share, value.dtype), key, query, kept)


def _kept(shape, rate: float, seed):
    """A mask of `shape`, true where a score is kept, and the share that is expected to be kept.

    A score is dropped where its byte is below a threshold. A byte's thresholds are 1/256 apart, so each call draws its
    threshold from the two next to the rate: over many calls the dropped share is the rate.
    """
    # The algorithm is specified, so that every device draws the same numbers.
    seed = tf.bitcast(keras.ops.cast(seed, "uint32"), tf.int32)
    between = tf.random.stateless_uniform([], tf.bitwise.invert(seed), alg="philox")
    level = tf.minimum(tf.floor(rate * _LEVELS + between), _LEVELS - 1)
    return _random_bytes(shape, seed) >= tf.cast(level, tf.uint8), 1 - level / _LEVELS


def _random_bytes(shape, seed):
    """Random bytes of `shape`.

    Comparing a byte with a threshold uses at most one of its eight bits, so one drawn word of eight bytes is enough for
    32 scores. For one modality that takes 20 ms on one core; drawing every word takes 36.
    """
    *outer, columns = shape
    words_a_row = -(-columns // (8 * _WORDS_A_DRAW))
    words = [tf.random.stateless_uniform([*outer, words_a_row], seed, None, None, tf.uint64, alg="philox")]
    while len(words) < _WORDS_A_DRAW:
        words.append(_scrambled(words[-1]))
    drawn = tf.bitcast(tf.concat(words, -1), tf.uint8)
    return tf.reshape(drawn, [*outer, 8 * _WORDS_A_DRAW * words_a_row])[..., :columns]


def _scrambled(words):
    """64-bit words, each of whose bytes depends on most bytes of the word that it is derived from."""
    first, second = (tf.constant(factor, tf.uint64) for factor in _FACTORS)
    words *= first
    return tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, tf.constant(32, tf.uint64))) * second


@tf.custom_gradient
def _attend_to_kept(value, key, query, kept):
    shape = [None, key.shape[1], query.shape[2]]
    samples = _samples_a_piece(key, query)

    def forward(value, key, query, kept):
        scores = tf.tanh(tf.matmul(key, query)) * tf.cast(kept, key.dtype)
        return tf.matmul(value, scores), scores

    pieces = [value, key, query, kept]
    attended, scores = _in_pieces(forward, pieces, samples, [[None, value.shape[1], shape[-1]], shape])

    def gradient(upstream):
        def backward(value, key, query, kept, scores, upstream):
            # A dropped score is 0 here, where tanh's gradient would be 1: the mask is applied once more.
            inner = tf.raw_ops.TanhGrad(y=scores, dy=tf.matmul(value, upstream, transpose_a=True))
            inner *= tf.cast(kept, key.dtype)
            # The large matrix comes first where its rows are multiplied: the other way round a product takes four times
            # as long.
            return (
                tf.linalg.matrix_transpose(tf.matmul(scores, upstream, transpose_b=True)),
                tf.matmul(inner, query, transpose_b=True),
                tf.matmul(tf.linalg.matrix_transpose(key), inner),
            )

        shapes = [[None, *tensor.shape[1:]] for tensor in (value, key, query)]
        gradients = _in_pieces(backward, [*pieces, scores, upstream], samples, shapes)
        return *(pieces.concat() for pieces in gradients), None

    return attended.concat(), gradient


def _samples_a_piece(key, query):
    batch = tf.maximum(tf.shape(key)[0], 1)
    # A GPU is fastest with the whole batch at once.
    if tf.config.list_logical_devices("GPU"):
        return batch
    return max(1, _PIECE_BYTES // (key.shape[1] * query.shape[2] * key.dtype.size))


def _in_pieces(function, tensors, samples, shapes) -> list[tf.TensorArray]:
    """Applies `function` to a batch piece by piece; returns an array of pieces for each result.

    Args:
      function: takes one piece of each tensor and returns as many pieces as there are shapes.
      tensors: `(batch, ...)`, or arrays that this function returned.
      samples: samples in a piece; the last piece may have fewer. An empty batch is one piece.
      shapes: shapes of the results, with an open batch dimension.
    """
    count = tf.maximum(1, -(-tf.shape(tensors[0])[0] // samples))

    def piece_of(tensor, index):
        if isinstance(tensor, tf.TensorArray):
            return tensor.read(index)
        return tensor[index * samples : (index + 1) * samples]

    def step(index, *results):
        made = function(*(piece_of(tensor, index) for tensor in tensors))
        return index + 1, *(result.write(index, piece) for result, piece in zip(results, made, strict=True))

    results = [
        tf.TensorArray(tensors[0].dtype, count, clear_after_read=False, infer_shape=False, element_shape=shape)
        for shape in shapes
    ]
    # Iterations in parallel would compete for the cache.
    return tf.while_loop(lambda index, *_: index < count, step, (0, *results), parallel_iterations=1)[1:]
