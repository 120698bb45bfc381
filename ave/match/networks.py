"""The audio-visual distance learning network, AVDLN (Section 5), and its contrastive loss."""

import keras
from keras import ops

from ave.match.config import MatchModelConfig, MatchTrainConfig
from avpipeline.checkpoints import read_keras_h5
from avpipeline.checkpoints.assign import assign
from avpipeline.errors import InputError
from avpipeline.nn.backends import jit_compile

# Layers of the authors' cmm_model_weights.h5 -> layers here.
AUTHOR_LAYERS = {"dense_1": "visual_1", "dense_2": "visual_2", "dense_3": "audio_1", "dense_4": "audio_2"}


@keras.saving.register_keras_serializable(package="ave")
class PairDistances(keras.layers.Layer):
    """Euclidean distances between all visual and all audio embeddings of a video.

    - Eq. 9: D(V, A) = ||R_v - R_a||, computed as sqrt(max(sum (R_v - R_a)^2, floor)).

    Where the floor applies the gradient is zero; without the floor, that of the square root would be infinite.

    Args:
      floor: smallest square of a distance; Keras's epsilon in the authors' code.

    Inputs: visual `(batch, visual segments, units)`, audio `(batch, audio segments, units)`.
    Output: `(batch, visual segments, audio segments)`, whose diagonal holds the synchronized pairs.
    """

    def __init__(self, floor: float = 1e-7, **kwargs):
        super().__init__(**kwargs)
        self.floor = floor

    def call(self, visual, audio):
        # Eq. 9
        difference = ops.expand_dims(visual, 2) - ops.expand_dims(audio, 1)
        return ops.sqrt(ops.maximum(ops.sum(ops.square(difference), axis=-1), self.floor))

    def compute_output_shape(self, visual_shape, audio_shape):
        return (visual_shape[0], visual_shape[1], audio_shape[1])

    def get_config(self):
        return {**super().get_config(), "floor": self.floor}


@keras.saving.register_keras_serializable(package="ave")
class ContrastiveLoss(keras.losses.Loss):
    """Contrastive loss (Hadsell et al. 2006) of the pairs on the diagonal of a distance matrix.

    - Eq. 10: L = y D^2 + (1 - y) max(0, margin - D)^2.

    Args:
      margin: distance up to which pairs that do not match are pushed apart.

    Labels y: `(batch, segments)`, 1 where audio and visual segment belong together, else 0. Predictions: distances
    `(batch, segments, segments)`.
    """

    def __init__(self, margin: float = 2.0, name="contrastive_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        # `ops.diagonal` has no gradient for batches of unknown size, which partial batches lead to.
        distance = ops.einsum("bii->bi", y_pred)
        y_true = ops.cast(y_true, distance.dtype)
        # Eq. 10
        matching = ops.square(distance)
        other = ops.square(ops.maximum(self.margin - distance, 0))
        return y_true * matching + (1 - y_true) * other

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


def build_avdln(config: MatchModelConfig | None = None) -> keras.Model:
    """AVDLN, freshly initialised (with Keras's defaults, as in the authors' code).

    Args:
      config: sizes; None means those of the authors' code.

    Returns:
      Functional model for videos of any length. Inputs `{"audio": (batch, segments, 128), "visual": (batch, segments,
      512)}`, the visual features averaged over their regions; output: distances `(batch, visual segments, audio
      segments)`. A single pair is a video of one segment.
    """
    # Section 5: two fully connected layers for each modality, R_v and R_a; then the distances of Eq. 9
    inputs, visual, audio = branches(config or MatchModelConfig())
    # float32 also under mixed precision: small distances matter.
    distances = PairDistances(name="distances", dtype="float32")(visual, audio)
    return keras.Model(inputs, distances, name="avdln")


def branches(config: MatchModelConfig):
    """The inputs by name, and the visual and the audio embeddings `(batch, segments, embedding_units)`.

    Each branch is Dense -> LeakyReLU -> Dense.
    """
    channels = {"audio": 128, "visual": 512}
    inputs = {name: keras.Input((None, size), name=name) for name, size in channels.items()}
    embedded = []
    for name in ("visual", "audio"):
        x = keras.layers.Dense(config.hidden_units, name=f"{name}_1")(inputs[name])
        x = keras.layers.LeakyReLU(config.negative_slope, name=f"{name}_relu")(x)
        embedded.append(keras.layers.Dense(config.embedding_units, name=f"{name}_2")(x))
    return inputs, *embedded


def compile_matcher(model: keras.Model, config: MatchTrainConfig, loss: keras.losses.Loss | None = None) -> keras.Model:
    """Compiles a network with Keras's own Adam, since the authors wrote this part of their code in Keras; returns it.

    Args:
      loss: AVDLN's `ContrastiveLoss`; None for DCCA, whose loss comes from its projection layer.
    """
    adam = keras.optimizers.Adam(config.learning_rate, epsilon=config.epsilon)
    model.compile(adam, loss, jit_compile=jit_compile())
    return model


def load_cross_modality_weights(path) -> keras.Model:
    """AVDLN with the weights of the authors' `cmm_model_weights.h5` (Keras 2); its sizes are read off the file.

    Raises:
      InputError: no such file, not Keras weights, or weights of another network.
    """
    arrays = read_keras_h5(path)
    try:
        hidden, embedding = arrays["dense_2/kernel"].shape
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: has no matrix dense_2/kernel, so it is not AVDLN; give the authors' cmm_model_weights.h5."
        ) from error
    model = build_avdln(MatchModelConfig(hidden_units=hidden, embedding_units=embedding))
    names = {f"{layer}/{part}": f"{own}/{part}" for layer, own in AUTHOR_LAYERS.items() for part in ("kernel", "bias")}
    assign(model, arrays, names, path, transpose=False)
    return model
