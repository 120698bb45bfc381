"""The audio network of the event layers: from a log-mel spectrogram to a feature vector at every time step.

It is the audio network of Afouras et al. 2020, "Self-supervised learning of audio-visual objects from video", "with
different kernel and stride sizes for a few layers" (Senocak et al. 2023, Section 3), which the paper does not give.
Here they are chosen so that 1000 frames of 10 ms give exactly 100 time steps: the stride in time is 2 in the second
pooling and 5 in the third.
"""

import keras

MEL_FRAMES, MEL_BANDS = 1000, 80
CHANNELS = 512
FRAMES_PER_TIME_STEP = 10

# Convolutions by name, in order: filters, kernel (time, mel), strides, zero padding.
_CONVOLUTIONS = {
    "conv1": (64, (3, 3), (1, 2), (1, 1)),
    "conv2": (192, (3, 3), (1, 1), (1, 1)),
    "conv3": (384, (3, 3), (1, 1), (1, 1)),
    "conv4": (256, (3, 3), (1, 1), (1, 1)),
    "conv5": (256, (3, 3), (1, 1), (1, 1)),
    "conv6": (CHANNELS, (3, 4), (1, 1), (1, 0)),
}
# Max pooling after a convolution: size, strides, zero padding.
_POOLINGS = {
    "conv1": ((1, 3), (1, 2), (0, 0)),
    "conv2": ((3, 3), (2, 2), (1, 0)),
    "conv5": ((5, 2), (5, 2), (0, 0)),
}


def build_audio_network(*, frames: int = MEL_FRAMES) -> keras.Model:
    """The network, freshly initialised: it is trained from scratch on the target data, and no weights are published.

    Args:
      frames: frames of the spectrogram, a multiple of 10; 1000 for 10 s.

    Returns:
      A model from log-mel spectrograms `(batch, frames, 80)` (`eventlayers.sound.EventLogMel`) to z^A,
      `(batch, frames / 10, 512)`, never negative. It has 3,825,472 trainable parameters.

    Raises:
      ValueError: the number of frames is no positive multiple of 10.
    """
    if frames < FRAMES_PER_TIME_STEP or frames % FRAMES_PER_TIME_STEP:
        raise ValueError(f"frames must be a multiple of {FRAMES_PER_TIME_STEP}, not {frames}")
    spectrogram = keras.Input((frames, MEL_BANDS), name="log_mel")
    x = keras.layers.Reshape((frames, MEL_BANDS, 1), name="one_channel")(spectrogram)
    for name, (filters, kernel, strides, padding) in _CONVOLUTIONS.items():
        x = _padded(x, padding, f"{name}_padding")
        x = keras.layers.Conv2D(filters, kernel, strides, use_bias=False, kernel_initializer="he_normal", name=name)(x)
        x = keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        if name in _POOLINGS:
            size, strides, padding = _POOLINGS[name]
            # Zeros never win a maximum over the outputs of a ReLU.
            x = _padded(x, padding, f"{name}_pool_padding")
            x = keras.layers.MaxPooling2D(size, strides, name=f"{name}_pool")(x)
    z = keras.layers.Reshape((frames // FRAMES_PER_TIME_STEP, CHANNELS), name="features")(x)
    return keras.Model(spectrogram, z, name="audio_network")


def _padded(x, padding: tuple[int, int], name: str):
    return keras.layers.ZeroPadding2D(padding, name=name)(x) if any(padding) else x
