"""Small backbones in place of MC3-18 and the event layers' audio network, for the synthetic data.

They have the outputs of the real ones, z^V, maps and z^A at 100 time steps, for frames of 32x32. As in
`avpipeline.features.small` the filters are drawn by NumPy from a seed and shaped for colour, texture and modulation;
here they are an initialisation that training can change or leave frozen.
"""

import keras
import numpy as np

from avpipeline.features.small import fill, mixing, picture_filters, sound_filters
from eventlayers.audio_network import CHANNELS, FRAMES_PER_TIME_STEP, MEL_BANDS, MEL_FRAMES

FRAMES, FRAME_SIZE = 100, 32
# Log-mel values below this count as silence. (log(1e-20), silence in the event layers' log-mel, is so far below every
# sound that it would dominate the filters' outputs.)
_QUIET = float(np.log(1e-3))
# Size of the audio filters: frames by mel bands.
_WINDOW = (20, 8)


def build_small_event_visual(seed: int = 0) -> keras.Model:
    """The visual network, which sees each frame alone.

    Args:
      seed: seed of the filters.

    Returns:
      A model from frames `(batch, 100, 32, 32, 3)`, RGB from 0 to 255 (integer or float), to "maps"
      `(batch, 100, 4, 4, 512)`, never negative, and "features", z^V `(batch, 100, 512)`, their mean over the frame.
    """
    rng = np.random.default_rng([seed, 5])
    filters = [
        # The threshold removes weak responses, such as those to the faint texture of the background.
        (picture_filters(rng, size=5, count=32, frequencies=(0.2, 0.45))[np.newaxis], -0.3),
        (mixing(rng, (1, 3, 3, 32, 64), gain=6.0), 0.0),
        (mixing(rng, (1, 1, 1, 64, CHANNELS), gain=10.0), -1.0),
    ]
    layers = [
        keras.layers.Conv3D(32, (1, 5, 5), padding="same", activation="relu", name="colour_and_texture"),
        keras.layers.Conv3D(64, (1, 3, 3), padding="same", activation="relu", name="parts"),
        keras.layers.Conv3D(CHANNELS, 1, activation="relu", name="maps"),
    ]
    frames = keras.Input((FRAMES, FRAME_SIZE, FRAME_SIZE, 3), name="frames")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    x = keras.layers.MaxPooling3D((1, 4, 4))(layers[0](x))
    x = keras.layers.MaxPooling3D((1, 2, 2))(layers[1](x))
    maps = layers[2](x)
    pooled = keras.layers.AveragePooling3D((1, *maps.shape[2:4]), name="mean_over_picture")(maps)
    features = keras.layers.Reshape((FRAMES, CHANNELS), name="features")(pooled)
    model = keras.Model(frames, {"features": features, "maps": maps}, name="small_event_visual")
    fill(layers, filters, trainable=True)
    return model


def build_small_event_audio(seed: int = 0) -> keras.Model:
    """The audio network, which hears each time step with half of both neighbours.

    Args:
      seed: seed of the filters.

    Returns:
      A model from log-mel spectrograms `(batch, 1000, 80)` (`eventlayers.sound.EventLogMel`) to z^A
      `(batch, 100, 512)`, never negative, zeros for silence.
    """
    rng = np.random.default_rng([seed, 6])
    bands, count = MEL_BANDS // 4, 32
    filters = [(sound_filters(rng, _WINDOW, count), 0.0), (mixing(rng, (1, bands, count, CHANNELS), gain=5.5), -0.5)]
    layers = [
        keras.layers.Conv2D(count, _WINDOW, (FRAMES_PER_TIME_STEP, 4), activation="relu", name="modulation"),
        keras.layers.Conv2D(CHANNELS, (1, bands), activation="relu", name="mixture"),
    ]
    spectrogram = keras.Input((MEL_FRAMES, MEL_BANDS), name="log_mel")
    x = keras.layers.Reshape((MEL_FRAMES, MEL_BANDS, 1))(spectrogram)
    x = keras.layers.ReLU()(keras.layers.Rescaling(0.5, offset=-0.5 * _QUIET)(x))
    # The window of a time step reaches halfway into both neighbours.
    x = layers[0](keras.layers.ZeroPadding2D((FRAMES_PER_TIME_STEP // 2, 2))(x))
    z = keras.layers.Reshape((FRAMES, CHANNELS), name="features")(layers[1](x))
    model = keras.Model(spectrogram, z, name="small_event_audio")
    fill(layers, filters, trainable=True)
    return model
