"""The fusion methods that the paper compares (Section 6.2), each of which turns two sequences into one.

A method is a subclass of `Fusion` with a name in `config.FUSIONS`; its models, rows and tests follow from that name.
`register_fusion` adds one of your own.

U (audio) and V (visual) are linear layers. Additive, MaxPooling, Gated, MultimodalBilinear and GatedMultimodalBilinear
are those of Kiela et al. 2018, "Efficient Large-Scale Multi-Modal Classification". The matrix W at the beginning of
their formulas is left out: the next layer (dense, or an LSTM in early fusion) begins with a matrix of its own. In
decision fusion the fused scores go to the softmax, without W.
"""

from collections.abc import Callable

import keras
from keras import ops

from ave import config
from avpipeline.errors import require_free
from avpipeline.nn.dense import linear

RESIDUALS = ("swapped", "own")
# The outer product of two vectors of this size has 1024 entries; with the LSTMs' 256 it would have 65,536.
_LARGEST_FACTOR = 32


class Fusion(keras.layers.Layer):
    """Fuses audio `(batch, time, audio_channels)` and visual `(batch, time, visual_channels)`.

    Args:
      units: size of the projections and, except for the outer products and the concatenation, of the output.

    Output: `(batch, time, channels)`.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def projection(self, name: str, input_shape, units: int | None = None) -> keras.layers.Dense:
        """A built linear layer for inputs of `input_shape`, with torch's default initialisation."""
        layer = linear(units or self.units, input_shape[-1], name=name, dtype=self.dtype_policy)
        layer.build(input_shape)
        return layer

    def compute_output_shape(self, audio_shape, visual_shape):
        return (*audio_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class _TwoProjections(Fusion):
    """The methods that begin with U a and V v."""

    @property
    def projected(self) -> int:
        return self.units

    def build(self, audio_shape, visual_shape):
        self.U = self.projection("U", audio_shape, self.projected)
        self.V = self.projection("V", visual_shape, self.projected)


@keras.saving.register_keras_serializable(package="ave")
class Additive(_TwoProjections):
    """U a + V v."""

    def call(self, audio, visual):
        return self.U(audio) + self.V(visual)


@keras.saving.register_keras_serializable(package="ave")
class MaxPooling(_TwoProjections):
    """max(U a, V v), element-wise."""

    def call(self, audio, visual):
        return ops.maximum(self.U(audio), self.V(visual))


@keras.saving.register_keras_serializable(package="ave")
class Gated(_TwoProjections):
    """sigmoid(U a) * V v: audio gates the visual features."""

    def call(self, audio, visual):
        return ops.sigmoid(self.U(audio)) * self.V(visual)


@keras.saving.register_keras_serializable(package="ave")
class MultimodalBilinear(_TwoProjections):
    """U a (x) V v: (x) is the outer product of both projections, flattened in row-major order.

    The projections have at most 32 entries, so the output has at most 1024.
    """

    @property
    def projected(self) -> int:
        return min(self.units, _LARGEST_FACTOR)

    def call(self, audio, visual):
        return self.outer(self.U(audio), self.V(visual))

    def outer(self, rows, columns):
        products = ops.expand_dims(rows, -1) * ops.expand_dims(columns, -2)
        return ops.reshape(products, (*ops.shape(products)[:-2], self.projected**2))

    def compute_output_shape(self, audio_shape, visual_shape):
        return (*audio_shape[:-1], self.projected**2)


@keras.saving.register_keras_serializable(package="ave")
class GatedMultimodalBilinear(MultimodalBilinear):
    """sigmoid(U a) (x) V v, with (x) as in `MultimodalBilinear`."""

    def call(self, audio, visual):
        return self.outer(ops.sigmoid(self.U(audio)), self.V(visual))


@keras.saving.register_keras_serializable(package="ave")
class GatedMultimodalUnit(_TwoProjections):
    """z * tanh(V v) + (1 - z) * tanh(U a) with z = sigmoid(W_z [v, a]).

    Source: Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion".
    """

    def build(self, audio_shape, visual_shape):
        super().build(audio_shape, visual_shape)
        self.W_z = self.projection("W_z", (*audio_shape[:-1], visual_shape[-1] + audio_shape[-1]))

    def call(self, audio, visual):
        gate = ops.sigmoid(self.W_z(ops.concatenate([visual, audio], -1)))
        return gate * ops.tanh(self.V(visual)) + (1 - gate) * ops.tanh(self.U(audio))


@keras.saving.register_keras_serializable(package="ave")
class Concat(Fusion):
    """[a, v], in the order of the authors' code. There are no projections, so `units` has no effect."""

    def call(self, audio, visual):
        return ops.concatenate([audio, visual], -1)

    def compute_output_shape(self, audio_shape, visual_shape):
        return (*audio_shape[:-1], audio_shape[-1] + visual_shape[-1])


@keras.saving.register_keras_serializable(package="ave")
class MRN(_TwoProjections):
    """W a + tanh(U a) * tanh(V2 tanh(V v)): one block of the multimodal residual network.

    Source: Kim et al. 2016, "Multimodal Residual Learning for Visual QA". Only audio is updated; it takes the place of
    their question.
    """

    def build(self, audio_shape, visual_shape):
        super().build(audio_shape, visual_shape)
        self.W = self.projection("W", audio_shape)
        self.V2 = self.projection("V2", (*visual_shape[:-1], self.units))

    def call(self, audio, visual):
        from_visual = ops.tanh(self.V2(ops.tanh(self.V(visual))))
        return self.W(audio) + ops.tanh(self.U(audio)) * from_visual


@keras.saving.register_keras_serializable(package="ave")
class DMRNBlock(keras.layers.Layer):
    """One block of the dual multimodal residual network (Section 4.3): both modalities are updated.

    With f(a, v) = (U_a(a) + U_v(v)) / 2, where U_a and U_v are Dense - tanh - Dense:

    - Eq. 5: a' = tanh(a + f(a, v)),
    - Eq. 6: v' = tanh(v + f(a, v)).

    Args:
      residuals: `"own"`, the paper's equations; `"swapped"`, the authors' code: a' = tanh(v + f) and
        v' = tanh(a + f). The average of a' and v' is the same either way, so the two differ only from the second
        block on.

    Inputs: audio and visual, both `(batch, time, units)`. Outputs: the updated audio and visual, of the same shape.

    Raises:
      ValueError: unknown `residuals`.
    """

    def __init__(self, residuals: str = "swapped", **kwargs):
        super().__init__(**kwargs)
        if residuals not in RESIDUALS:
            raise ValueError(f"residuals must be one of {RESIDUALS}, not {residuals!r}")
        self.residuals = residuals

    def build(self, audio_shape, visual_shape):
        # The names of the authors' checkpoint: the number is the place in torch's Sequential.
        self.U_a = [self._dense(f"U_a_{index}", audio_shape) for index in (0, 2)]
        self.U_v = [self._dense(f"U_v_{index}", visual_shape) for index in (0, 2)]

    def _dense(self, name, shape) -> keras.layers.Dense:
        layer = linear(shape[-1], shape[-1], name=name, dtype=self.dtype_policy)
        layer.build(shape)
        return layer

    def call(self, audio, visual):
        from_audio = self.U_a[1](ops.tanh(self.U_a[0](audio)))
        from_visual = self.U_v[1](ops.tanh(self.U_v[0](visual)))
        fused = (from_visual + from_audio) / 2
        if self.residuals == "swapped":
            audio, visual = visual, audio
        # Eq. 5 and Eq. 6
        return ops.tanh(audio + fused), ops.tanh(visual + fused)

    def compute_output_shape(self, audio_shape, visual_shape):
        return tuple(audio_shape), tuple(visual_shape)

    def get_config(self):
        return {**super().get_config(), "residuals": self.residuals}


@keras.saving.register_keras_serializable(package="ave")
class DMRN(Fusion):
    """Dual multimodal residual network (Section 4.3): stacked blocks, then the average h* of both modalities.

    A residual connection needs equal sizes, so a modality whose size is not `units` is projected to it first (in
    early fusion; LSTM outputs have it already).

    Args:
      units: size of both modalities within the blocks.
      blocks: number of blocks; one in the paper.
      residuals: that of `DMRNBlock`.
    """

    def __init__(self, units: int, blocks: int = 1, residuals: str = "swapped", **kwargs):
        super().__init__(units, **kwargs)
        self.blocks = blocks
        self.residuals = residuals

    def build(self, audio_shape, visual_shape):
        self.W_a = None if audio_shape[-1] == self.units else self.projection("W_a", audio_shape)
        self.W_v = None if visual_shape[-1] == self.units else self.projection("W_v", visual_shape)
        inside = (*audio_shape[:-1], self.units)
        self.stack = [
            DMRNBlock(self.residuals, name=f"block_{index}", dtype=self.dtype_policy) for index in range(self.blocks)
        ]
        for block in self.stack:
            block.build(inside, inside)

    def call(self, audio, visual):
        audio = audio if self.W_a is None else self.W_a(audio)
        visual = visual if self.W_v is None else self.W_v(visual)
        for block in self.stack:
            audio, visual = block(audio, visual)
        return (visual + audio) / 2

    def get_config(self):
        return {**super().get_config(), "blocks": self.blocks, "residuals": self.residuals}


# The names are those of `config.FUSIONS`, which imports no Keras.
FUSIONS: dict[str, type[Fusion]] = {
    "additive": Additive,
    "mp": MaxPooling,
    "gated": Gated,
    "mb": MultimodalBilinear,
    "gmu": GatedMultimodalUnit,
    "gmb": GatedMultimodalBilinear,
    "concat": Concat,
    "mrn": MRN,
    "dmrn": DMRN,
}


def register_fusion(name: str) -> Callable[[type[Fusion]], type[Fusion]]:
    """Adds a fusion method of your own, a subclass of `Fusion`, and its models NAME_early, NAME_late, NAME_decision.

    As a decorator of the class: `python -m ave.train --model NAME_late --import FILE.py` trains it.

    Raises:
      InputError: the name is taken.
    """
    require_free(name, FUSIONS, "fusion method")

    def decorated(method: type[Fusion]) -> type[Fusion]:
        FUSIONS[name] = keras.saving.register_keras_serializable("own_fusion", name)(method)
        config.FUSIONS[name] = name
        for place in config.PLACES:
            about = f"A+V-att with {name} fusion, {place}"
            config.register_model(f"{name}_{place}", about, fusion=name, fused_at=place)
        return method

    return decorated
