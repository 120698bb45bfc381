"""The methods that fuse the two modalities' features of a video (Section 4.5, Table 2).

concatenation  [v, a]                                 Eq. 6 and Eq. 10, the authors' code
addition       v + a
mcb            count sketches of v and a, convolved,  Gao et al. 2016, "Compact Bilinear Pooling"
               signed square root, unit length
dmr            dual multimodal residual block, mean   Tian et al. 2018; `ave.fusion.DMRN`

`mafnet.models` applies them; CompactBilinear is the only layer that had to be written for it.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="mafnet")
class CompactBilinear(keras.layers.Layer):
    """Multimodal compact bilinear pooling: a count sketch of the outer product of two vectors.

    The count sketch of a vector x is s_j(x), the sum of sign_i x_i over all i with hash_i = j. The sketch of the
    outer product is the circular convolution of both sketches, which is a product in the Fourier domain:
    ifft(fft(s(v)) * fft(s(a))).

    As in that paper, the signed square root of the result, sign(y) sqrt|y|, is then scaled to unit length. Where the
    features are zero the gradient is zero; the square root's would be infinite.

    Args:
      channels: size of the output.
      seed: seed of the hashes and signs. These are not weights: the same seed and sizes give the same ones.
      normalized: whether to take the signed square root and to scale it.

    Inputs: visual `(batch, visual_channels)`, audio `(batch, audio_channels)`. Output: `(batch, channels)`.
    """

    def __init__(self, channels: int = 8192, seed: int = 0, normalized: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.seed = seed
        self.normalized = normalized

    def build(self, visual_shape, audio_shape):
        rng = np.random.default_rng(self.seed)
        self.sketches = [self._sketch(rng, shape[-1]) for shape in (visual_shape, audio_shape)]

    def _sketch(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(self.channels, size=size), rng.choice(np.array([-1.0, 1.0], "float32"), size)

    def call(self, visual, audio):
        spectra = [self._spectrum(x, *sketch) for x, sketch in zip((visual, audio), self.sketches, strict=True)]
        (v_real, v_imag), (a_real, a_imag) = spectra
        product = v_real * a_real - v_imag * a_imag, v_real * a_imag + v_imag * a_real
        pooled = ops.irfft(product, fft_length=self.channels)
        return ops.cast(_unit_roots(pooled) if self.normalized else pooled, self.compute_dtype)

    def _spectrum(self, x, places, signs):
        # There is no Fourier transform in half precision.
        x = ops.cast(x, "float32") * signs
        sketch = ops.segment_sum(ops.transpose(x), places, num_segments=self.channels)
        return ops.rfft(ops.transpose(sketch), fft_length=self.channels)

    def compute_output_shape(self, visual_shape, audio_shape):
        return (visual_shape[0], self.channels)

    def get_config(self):
        own = {"channels": self.channels, "seed": self.seed, "normalized": self.normalized}
        return {**super().get_config(), **own}


def _unit_roots(x):
    """sign(x) sqrt|x| of unit length."""
    size = ops.abs(x)
    # Where x is 0, sign(x) = 0, so the value under the root does not matter, only that the root has a gradient.
    return ops.normalize(ops.sign(x) * ops.sqrt(ops.where(size > 0, size, 1.0)), axis=-1, order=2)
