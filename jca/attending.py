"""value @ dropout(tanh(key @ query)): where joint co-attention spends its time.

The scores tanh(key @ query) of one modality, `(batch, 512, 1024)` at the published sizes, are 134 MB; a training
step has eight of them, and they cost more than all else. Four things keep that down:

- The batch is gone through in pieces, one at a time, whose scores, 4 MB, stay in the cache from one operation to the
  next. The gradient fetches them as pieces: to compute them again costs a third more, and to put them together a copy.
- A gradient of its own needs the dropped scores and one byte of mask an element, nothing else.
- Random numbers are the largest part of dropout. One random byte decides whether a score is dropped, and three of
  four bytes are scrambles of the fourth.
- The scale is folded into the key and the kept share into the value, which are a hundred times smaller.
"""

import keras
import tensorflow as tf

_LEVELS = 256
_PIECE_BYTES = 2**22
# A drawn word and the words that are made of it with the odd factors of SplitMix64's last step.
_WORDS_A_DRAW = 4
_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


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
    between = tf.random.stateless_uniform([], tf.bitwise.invert(seed), alg="philox")
    level = tf.minimum(tf.floor(rate * _LEVELS + between), _LEVELS - 1)
    return _random_bytes(shape, seed) >= tf.cast(level, tf.uint8), 1 - level / _LEVELS


def _random_bytes(shape, seed):
    """Random bytes of `shape`.

    A comparison with a level uses up one of a byte's eight bits at most, so a drawn word of eight bytes is enough to
    decide on 32 scores. For one modality that takes 20 ms of a core, and to draw all words 36.
    """
    *outer, columns = shape
    words_a_row = -(-columns // (8 * _WORDS_A_DRAW))
    words = [tf.random.stateless_uniform([*outer, words_a_row], seed, None, None, tf.uint64, alg="philox")]
    while len(words) < _WORDS_A_DRAW:
        words.append(_scrambled(words[-1]))
    drawn = tf.bitcast(tf.concat(words, -1), tf.uint8)
    return tf.reshape(drawn, [*outer, 8 * _WORDS_A_DRAW * words_a_row])[..., :columns]


def _scrambled(words):
    """Words of 64 bits, each of whose bytes depends on most bytes of the word it is made of."""
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
            # tanh's gradient at a dropped score, which is 0 here, would be 1, so the mask is needed once more.
            inner = tf.raw_ops.TanhGrad(y=scores, dy=tf.matmul(value, upstream, transpose_a=True))
            inner *= tf.cast(kept, key.dtype)
            # The large matrix stands where the product is fastest, and the small one is transposed.
            return (
                tf.matmul(upstream, scores, transpose_b=True),
                tf.linalg.matrix_transpose(tf.matmul(query, inner, transpose_b=True)),
                tf.matmul(tf.linalg.matrix_transpose(key), inner),
            )

        shapes = [[None, *tensor.shape[1:]] for tensor in (value, key, query)]
        gradients = _in_pieces(backward, [*pieces, scores, upstream], samples, shapes)
        return *(pieces.concat() for pieces in gradients), None

    return attended.concat(), gradient


def _samples_a_piece(key, query):
    batch = tf.maximum(tf.shape(key)[0], 1)
    # A GPU is fastest with everything at once.
    if tf.config.list_logical_devices("GPU"):
        return batch
    return max(1, _PIECE_BYTES // (key.shape[1] * query.shape[2] * key.dtype.size))


def _in_pieces(function, tensors, samples, shapes) -> list[tf.TensorArray]:
    """The results of `function` for each piece of a batch, one array of pieces a result.

    Args:
      function: of one piece of each tensor; returns as many pieces as there are shapes.
      tensors: `(batch, ...)`, or an array that this function returned.
      samples: of the batch a piece; the last one may have fewer. An empty batch is one piece.
      shapes: of the results, with an open batch.
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
    # More iterations at a time would share the cache.
    return tf.while_loop(lambda index, *_: index < count, step, (0, *results), parallel_iterations=1)[1:]
