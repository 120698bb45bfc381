"""The initialisation of dense layers against the ranges of torch's."""

import numpy as np

from avpipeline.nn.dense import linear


def test_linear_starts_as_torch_does():
    layer = linear(1000, 25)
    layer.build((None, 25))
    for values in layer.get_weights():
        assert np.abs(values).max() <= 0.2
        assert np.abs(values).max() > 0.19
        np.testing.assert_allclose(values.std(), 0.2 / 3**0.5, rtol=0.05)


def test_xavier_and_zero_bias_replace_torchs_defaults():
    layer = linear(1000, 500, xavier=True, zero_bias=True)
    layer.build((None, 500))
    kernel, bias = layer.get_weights()
    # Xavier's limit is sqrt(6 / (500 + 1000)); torch's would be sqrt(1 / 500).
    np.testing.assert_allclose(np.abs(kernel).max(), (6 / 1500) ** 0.5, rtol=0.01)
    assert not bias.any()
