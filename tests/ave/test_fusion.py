"""Every fusion method against its formula written out in NumPy, one time step at a time."""

import itertools

import numpy as np
import pytest

from ave.fusion import DMRN, FUSIONS, DMRNBlock
from tests.helpers.layer_checks import check_layer
from tests.reference.ave import sigmoid

UNITS = 6


def inputs(audio_channels, visual_channels):
    rng = np.random.default_rng(3)
    shapes = ((2, 3, audio_channels), (2, 3, visual_channels))
    return tuple(rng.standard_normal(shape).astype("float32") for shape in shapes)


class Weights:
    """`dense("U", x)`: the layer's Dense of that name, applied in NumPy."""

    def __init__(self, layer):
        self.values = {weight.path: np.asarray(weight) for weight in layer.weights}

    def dense(self, name, x):
        (kernel,) = (value for path, value in self.values.items() if path.endswith(f"{name}/kernel"))
        (bias,) = (value for path, value in self.values.items() if path.endswith(f"{name}/bias"))
        return x @ kernel + bias


def dmrn_block(dense, a, v, residuals, block="block_0"):
    from_a = dense(f"{block}/U_a_2", np.tanh(dense(f"{block}/U_a_0", a)))
    from_v = dense(f"{block}/U_v_2", np.tanh(dense(f"{block}/U_v_0", v)))
    f = (from_a + from_v) / 2
    if residuals == "swapped":
        return np.tanh(v + f), np.tanh(a + f)
    return np.tanh(a + f), np.tanh(v + f)


def dmrn(dense, a, v):
    a, v = dmrn_block(dense, dense("W_a", a), dense("W_v", v), "swapped")
    return (a + v) / 2


def gmu(dense, a, v):
    z = sigmoid(dense("W_z", np.concatenate([v, a])))
    return z * np.tanh(dense("V", v)) + (1 - z) * np.tanh(dense("U", a))


# Keyed as FUSIONS is, so that a method without a formula here fails.
FORMULAS = {
    "additive": lambda dense, a, v: dense("U", a) + dense("V", v),
    "mp": lambda dense, a, v: np.maximum(dense("U", a), dense("V", v)),
    "gated": lambda dense, a, v: sigmoid(dense("U", a)) * dense("V", v),
    "mb": lambda dense, a, v: np.outer(dense("U", a), dense("V", v)).ravel(),
    "gmb": lambda dense, a, v: np.outer(sigmoid(dense("U", a)), dense("V", v)).ravel(),
    "gmu": gmu,
    "concat": lambda dense, a, v: np.concatenate([a, v]),
    "mrn": lambda dense, a, v: (
        dense("W", a) + np.tanh(dense("U", a)) * np.tanh(dense("V2", np.tanh(dense("fusion/V", v))))
    ),
    "dmrn": dmrn,
}


@pytest.mark.parametrize("name", FUSIONS)
def test_method_follows_its_formula(name):
    audio, visual = inputs(4, 5)
    layer = FUSIONS[name](UNITS, name="fusion")
    (ours,) = check_layer(layer, audio, visual)
    dense = Weights(layer).dense
    for video in range(2):
        for second in range(3):
            expected = FORMULAS[name](dense, audio[video, second], visual[video, second])
            np.testing.assert_allclose(ours[video, second], expected, atol=1e-5)


def test_no_two_methods_are_one():
    """With equal weights, every method gives something else."""
    audio, visual = inputs(UNITS, UNITS)
    outputs = []
    for method in FUSIONS.values():
        layer = method(UNITS)
        layer(audio, visual)
        layer.set_weights([np.full(weight.shape, 0.1 * weight.shape[0], "float32") for weight in layer.weights])
        outputs.append(np.asarray(layer(audio, visual)))
    for first, second in itertools.combinations(outputs, 2):
        assert first.shape != second.shape or np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("residuals", ["swapped", "own"])
def test_two_blocks_follow_the_code_or_the_paper(residuals):
    audio, visual = inputs(UNITS, UNITS)
    layer = DMRN(UNITS, blocks=2, residuals=residuals, name="fusion")
    (ours,) = check_layer(layer, audio, visual)
    dense = Weights(layer).dense
    a, v = audio[1, 2], visual[1, 2]
    for block in ("block_0", "block_1"):
        a, v = dmrn_block(dense, a, v, residuals, block)
    np.testing.assert_allclose(ours[1, 2], (a + v) / 2, atol=1e-5)


@pytest.mark.parametrize(("blocks", "differ"), [(1, False), (2, True)])
def test_only_a_second_block_tells_code_and_paper_apart(blocks, differ):
    audio, visual = inputs(UNITS, UNITS)
    code, paper = (DMRN(UNITS, blocks=blocks, residuals=residuals) for residuals in ("swapped", "own"))
    code(audio, visual), paper(audio, visual)
    paper.set_weights(code.get_weights())
    difference = np.abs(np.asarray(code(audio, visual)) - np.asarray(paper(audio, visual))).max()
    assert (difference > 1e-3) == differ


def test_equal_sizes_need_no_projection():
    audio, visual = inputs(UNITS, UNITS)
    layer = DMRN(UNITS)
    layer(audio, visual)
    # Two linear layers for each modality, as in the authors' checkpoint.
    assert len(layer.weights) == 8


def test_unknown_residuals_are_refused():
    with pytest.raises(ValueError, match="residuals must be one of"):
        DMRNBlock("both")
