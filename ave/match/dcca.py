"""Deep canonical correlation analysis, DCCA (Andrew et al., ICML 2013), the paper's baseline in Table 3.

Two small networks are trained to maximise the correlation of their outputs for matching audio and visual segments;
linear CCA of the training pairs then gives the shared space, in which distances are Euclidean.
"""

import keras
import numpy as np
from keras import ops

from ave.match.config import MatchModelConfig, match_model_config
from ave.match.networks import PairDistances, branches
from avpipeline.datasets.base import Split

PROJECTION_LAYER = "projection"

_PAIRS_AT_ONCE = 4096


def correlation(first, second, regularisation: float = 1e-4):
    """Sum of all canonical correlations of two sets of outputs, with a gradient that is always finite.

    With H the centred outputs and S = H'H / (n - 1), where r is added to the diagonals of S11 and S22:
    corr = trace norm of T = S11^(-1/2) S12 S22^(-1/2) (Andrew et al., Section 3).

    Automatic differentiation of an eigendecomposition divides by differences of eigenvalues, which are zero where
    eigenvalues are equal, as with dead units or few samples. So the gradient is computed in the closed form of Andrew
    et al.: with T = U D V', d corr / dS12 = S11^(-1/2) U V' S22^(-1/2) and d corr / dS11 = -1/2 S11^(-1/2) U D U'
    S11^(-1/2), where only eigenvalues of at least r are inverted. In the null directions of T, where the trace norm
    is not differentiable, the gradient is zero. All of it is computed in float64.

    Args:
      first, second: `(samples, units)`; at least one sample, any rank.
      regularisation: r > 0.

    Returns:
      Scalar in [0, units], of the outputs' dtype.
    """
    dtype = first.dtype
    first, second = (ops.cast(x, "float64") for x in (first, second))
    first, second = (x - ops.mean(x, axis=0, keepdims=True) for x in (first, second))
    s11, s12, s22 = _covariance(first, first), _covariance(first, second), _covariance(second, second)
    root1, root2 = (_inverse_root(ops.stop_gradient(s), regularisation) for s in (s11, s22))
    t = ops.matmul(ops.matmul(root1, ops.stop_gradient(s12)), root2)
    squares, v = ops.eigh(ops.matmul(ops.transpose(t), t))
    # Squares that should be zero come out as rounding errors, which are tiny relative to the largest square.
    nonzero = squares > 1e-14 * ops.maximum(ops.max(squares), 1e-300)
    d = ops.sqrt(ops.where(nonzero, squares, 0.0))
    inverse = ops.where(nonzero, 1 / ops.sqrt(ops.where(nonzero, squares, 1.0)), 0.0)
    uv = ops.matmul(t, _recomposed(v, inverse))
    of_s12 = ops.matmul(ops.matmul(root1, uv), root2)
    of_s11 = -0.5 * ops.matmul(ops.matmul(root1, ops.matmul(uv, ops.transpose(t))), root1)
    of_s22 = -0.5 * ops.matmul(ops.matmul(root2, _recomposed(v, d)), root2)
    # This is linear in the covariances, so automatic differentiation gives exactly the closed form; its value cancels.
    linear = sum(
        ops.sum(ops.stop_gradient(gradient) * covariance)
        for gradient, covariance in ((of_s11, s11), (of_s12, s12), (of_s22, s22))
    )
    return ops.cast(ops.stop_gradient(ops.sum(d) - linear) + linear, dtype)


def _covariance(first, second):
    samples = ops.cast(ops.shape(first)[0], first.dtype)
    return ops.matmul(ops.transpose(first), second) / ops.maximum(samples - 1, 1)


def _inverse_root(covariance, regularisation: float):
    """(S + r I)^(-1/2) of a positive semidefinite matrix S, whose eigenvalues rounding may have made negative."""
    values, vectors = ops.eigh(covariance)
    return _recomposed(vectors, (ops.maximum(values, 0.0) + regularisation) ** -0.5)


def _recomposed(vectors, values):
    """The symmetric matrix with these eigenvectors and eigenvalues."""
    return ops.matmul(vectors * values, ops.transpose(vectors))


def canonical_projections(
    first: np.ndarray, second: np.ndarray, regularisation: float = 1e-4
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Linear CCA of two sets of samples `(samples, units)`, regularised as in `correlation`.

    Returns:
      the means of both sides, `(units,)`; their projections, `(units, components)`, after which the samples have
      variance 1; the canonical correlations in descending order, `(components,)`.
    """
    sides = [np.asarray(side, np.float64) for side in (first, second)]
    means = [side.mean(0) for side in sides]
    centred = [side - mean for side, mean in zip(sides, means, strict=True)]
    count = max(1, len(first) - 1)
    roots = []
    for side in centred:
        values, vectors = np.linalg.eigh(side.T @ side / count)
        roots.append((vectors * (values.clip(0) + regularisation) ** -0.5) @ vectors.T)
    left, correlations, right = np.linalg.svd(roots[0] @ (centred[0].T @ centred[1] / count) @ roots[1])
    components = len(correlations)
    return means, [roots[0] @ left[:, :components], roots[1] @ right[:components].T], correlations


@keras.saving.register_keras_serializable(package="ave")
class CanonicalProjection(keras.layers.Layer):
    """Projects both networks' outputs into the shared space, and adds DCCA's objective to the model's losses.

    The loss is the negative sum of canonical correlations of the batch's synchronized pairs. The projections are not
    trainable: they are zero until `fit` sets them.

    Args:
      regularisation: added to the diagonals of the covariance matrices.

    Inputs: visual and audio, `(batch, segments, units)` each, with the same number of units. Outputs: of the same
    shapes.

    Raises:
      ValueError: `regularisation` is not above 0, or the numbers of units differ.
    """

    def __init__(self, regularisation: float = 1e-4, **kwargs):
        super().__init__(**kwargs)
        if regularisation <= 0:
            raise ValueError(f"regularisation must be above 0, not {regularisation}")
        self.regularisation = regularisation

    def build(self, visual_shape, audio_shape):
        units = visual_shape[-1]
        if audio_shape[-1] != units:
            raise ValueError(f"both sides must have as many units, not {units} and {audio_shape[-1]}")
        zeros = {"initializer": "zeros", "trainable": False}
        self.means, self.projections = [], []
        for name in ("visual", "audio"):
            self.means.append(self.add_weight(shape=(units,), name=f"{name}_mean", **zeros))
            self.projections.append(self.add_weight(shape=(units, units), name=f"{name}_projection", **zeros))

    def call(self, visual, audio):
        # Only synchronized pairs count; in a search, the query is shorter than the sequence that is searched.
        shared = ops.minimum(ops.shape(visual)[1], ops.shape(audio)[1])
        flat = (ops.reshape(x[:, :shared], (-1, x.shape[-1])) for x in (visual, audio))
        self.add_loss(-correlation(*flat, self.regularisation))
        sides = zip((visual, audio), self.means, self.projections, strict=True)
        return tuple(ops.matmul(x - mean, projection) for x, mean, projection in sides)

    def fit(self, visual: np.ndarray, audio: np.ndarray) -> np.ndarray:
        """Sets the projections to those of linear CCA of embeddings `(pairs, units)`; returns the correlations."""
        means, projections, correlations = canonical_projections(visual, audio, self.regularisation)
        for weight, value in zip([*self.means, *self.projections], [*means, *projections], strict=True):
            weight.assign(value)
        return correlations

    def compute_output_shape(self, visual_shape, audio_shape):
        return tuple(visual_shape), tuple(audio_shape)

    def get_config(self):
        return {**super().get_config(), "regularisation": self.regularisation}


def build_dcca(config: MatchModelConfig | None = None) -> keras.Model:
    """DCCA, freshly initialised: AVDLN's branches, the projection into the shared space, and the distances there.

    `config` has its sizes; None means those of `match_model_config("dcca")`. The model is functional, with the inputs
    and the output of `ave.match.networks.build_avdln`.
    """
    config = config or match_model_config("dcca")
    inputs, visual, audio = branches(config)
    # float32 also under mixed precision: covariances need it.
    project = CanonicalProjection(config.regularisation, name=PROJECTION_LAYER, dtype="float32")
    distances = PairDistances(name="distances", dtype="float32")(*project(visual, audio))
    return keras.Model(inputs, distances, name="dcca")


class FitProjection(keras.callbacks.Callback):
    """Fits DCCA's projections before each validation to `pairs`, the matching pairs of training, so that they match its
    current weights."""

    def __init__(self, pairs: Split):
        super().__init__()
        self.pairs = pairs

    def on_test_begin(self, logs=None):
        fit_projection(self.model, self.pairs)


def fit_projection(model: keras.Model, pairs: Split) -> np.ndarray:
    """Fits the projections of a DCCA model to its embeddings of matching pairs; returns the canonical correlations."""
    embed = keras.Model(model.input, [model.get_layer(f"{name}_2").output for name in ("visual", "audio")])
    found = [[], []]
    for rows in np.array_split(np.arange(len(pairs)), -(-len(pairs) // _PAIRS_AT_ONCE)):
        outputs = embed({name: source.read(rows) for name, source in pairs.inputs.items()}, training=False)
        for side, output in zip(found, outputs, strict=True):
            side.append(np.asarray(output).reshape(-1, output.shape[-1]))
    return model.get_layer(PROJECTION_LAYER).fit(*map(np.concatenate, found))
