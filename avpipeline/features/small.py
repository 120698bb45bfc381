"""Small fixed networks with the real extractors' output shapes, so that the rendered data needs no download.

Their filters are never trained. NumPy draws them from a seed, designed to preserve what distinguishes the rendered
objects and sounds: colour, oriented texture and shape in frames; the spectrum, its fine structure and its modulation
in time in sound. Like the real features, the outputs are non-negative with many exact zeros. Weights are rounded to
1/4096, so that their hash depends neither on the last bit of a machine's exponential nor on the TensorFlow version.
"""

import keras
import numpy as np

from avpipeline.features.logmel import LogMel
from avpipeline.media import SAMPLE_RATE

FRAME_SIZE = (64, 64)
FRAMES_A_SECOND = 4
# Filters of sound, and places at which each is applied along the mel bands.
_MODULATIONS, _BANDS = 32, 16


def build_small_visual(seed: int = 0) -> keras.Model:
    """The visual network, in place of VGG-19's pool5.

    Returns:
      a model of frames `(batch, 64, 64, 3)`, RGB from 0 to 255 (integer or float), to `(batch, 7, 7, 512)`.
    """
    rng = np.random.default_rng([seed, 1])
    filters = [
        (picture_filters(rng, size=7, count=64), 0.0),
        (mixing(rng, (3, 3, 64, 128), gain=2.0), 0.0),
        (mixing(rng, (1, 1, 128, 512), gain=5.0), -0.5),
    ]
    layers = [
        keras.layers.Conv2D(64, 7, strides=2, activation="relu", name="colour_and_texture"),
        keras.layers.Conv2D(128, 3, padding="same", activation="relu", name="parts"),
        keras.layers.Conv2D(512, 1, activation="relu", name="mixture"),
    ]
    frames = keras.Input((*FRAME_SIZE, 3), name="frames")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    x = keras.layers.AveragePooling2D(2)(layers[0](x))
    x = keras.layers.MaxPooling2D(2)(layers[1](x))
    model = keras.Model(frames, layers[2](x), name="small_visual")
    fill(layers, filters)
    return model


def build_small_audio(seed: int = 0) -> keras.Model:
    """The audio network, in place of VGGish's embedding.

    Returns:
      a model of one second of sound `(batch, 16000)`, 16 kHz mono in [-1, 1], to `(batch, 128)`.
    """

    def pooled(x):
        # Averaged over the second: how much there is of each modulation, not when.
        return keras.layers.Flatten()(keras.layers.AveragePooling2D((x.shape[1], 1))(x))

    mixture = keras.layers.Dense(128, activation="relu", name="mixture")
    return _audio_network("small_audio", [seed, 2], pooled, mixture, (_BANDS * _MODULATIONS, 128))


def build_small_audio_map(seed: int = 0) -> keras.Model:
    """The audio network with time and frequency kept, in place of VGGish's last pooling.

    Returns:
      a model of one second of sound `(batch, 16000)`, 16 kHz mono in [-1, 1], to `(batch, 6, 4, 512)`.
    """
    # From 19 positions in time and 16 bands.
    pooled = keras.layers.AveragePooling2D((3, 4))
    mixture = keras.layers.Conv2D(512, 1, activation="relu", name="mixture")
    return _audio_network("small_audio_map", [seed, 3], pooled, mixture, (1, 1, _MODULATIONS, 512))


def _audio_network(name: str, seed: list[int], pooled, mixture: keras.layers.Layer, mixture_shape) -> keras.Model:
    """Filters of the log-mel spectrogram, pooled by `pooled`, then mixed by the layer `mixture`."""
    rng = np.random.default_rng(seed)
    size = (24, 8)
    filters = [(sound_filters(rng, size, _MODULATIONS), 0.0), (mixing(rng, mixture_shape, gain=5.5), -0.5)]
    modulation = keras.layers.Conv2D(_MODULATIONS, size, strides=4, activation="relu", name="modulation")
    waveform = keras.Input((SAMPLE_RATE,), name="waveform")
    x = keras.layers.Reshape((96, 64, 1))(LogMel(name="log_mel")(waveform))
    # The floor of the log-mel spectrogram becomes 0, so that silence gives no response.
    x = keras.layers.Rescaling(0.5, offset=-0.5 * float(np.log(LogMel.offset)))(x)
    # Padded in frequency alone: in time an edge would look like an onset.
    x = keras.layers.ZeroPadding2D((0, 2))(x)
    model = keras.Model(waveform, mixture(pooled(modulation(x))), name=name)
    fill([modulation, mixture], filters)
    return model


def build_small_motion(seed: int = 0) -> keras.Model:
    """The motion network, in place of C3D's pool5: it sees only changes from frame to frame.

    Returns:
      a model of one second of frames `(batch, 4, 64, 64, 3)`, RGB from 0 to 255, to `(batch, 512)`.
    """
    rng = np.random.default_rng([seed, 4])
    spatial = picture_filters(rng, size=7, count=64)
    filters = [
        # A frame minus the one before it.
        (np.stack([-spatial, spatial]), 0.0),
        (mixing(rng, (1, 3, 3, 64, 128), gain=2.0), 0.0),
        (mixing(rng, (1, 1, 1, 128, 512), gain=5.0), 0.0),
    ]
    layers = [
        keras.layers.Conv3D(64, (2, 7, 7), strides=(1, 2, 2), activation="relu", name="change"),
        keras.layers.Conv3D(128, (1, 3, 3), padding="same", activation="relu", name="parts"),
        keras.layers.Conv3D(512, 1, activation="relu", name="mixture"),
    ]
    frames = keras.Input((FRAMES_A_SECOND, *FRAME_SIZE, 3), name="frames")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    x = keras.layers.AveragePooling3D((1, 2, 2))(layers[0](x))
    x = keras.layers.MaxPooling3D((1, 2, 2))(layers[1](x))
    model = keras.Model(frames, keras.layers.GlobalAveragePooling3D()(layers[2](x)), name="small_motion")
    fill(layers, filters)
    return model


def averaged(model: keras.Model) -> keras.Model:
    """The network with its output maps `(batch, rows, columns, channels)` averaged to `(batch, channels)`."""
    mean = keras.layers.GlobalAveragePooling2D(name="avg_pool")(model.output)
    return keras.Model(model.input, mean, name=model.name)


def fill(layers, filters, *, trainable: bool = False) -> None:
    """Sets each layer's kernel, rounded to 1/4096, and its bias, a single number."""
    for layer, (kernel, bias) in zip(layers, filters, strict=True):
        kernel = np.round(kernel * 4096) / 4096
        layer.set_weights([kernel.astype(np.float32), np.full(kernel.shape[-1], bias, np.float32)])
        layer.trainable = trainable


def picture_filters(
    rng: np.random.Generator, size: int, count: int, frequencies: tuple[float, float] = (0.08, 0.3)
) -> np.ndarray:
    """One quarter colour blobs, the rest Gabor filters in random colours: `(size, size, 3, count)`.

    Args:
      frequencies: lowest and highest of the Gabor filters, in cycles per pixel.
    """
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    window = np.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
    kernel = np.empty((size, size, 3, count))
    for index in range(count):
        colour = rng.normal(size=3)
        if index >= count // 4:
            # Mostly grey: texture is detected whatever its colour.
            colour = 0.5 * colour + 1.0
            angle, frequency = rng.uniform(0, np.pi), rng.uniform(*frequencies)
            phase = 2 * np.pi * (frequency * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform())
            plane = window * np.cos(phase)
            plane -= window * plane.sum() / window.sum()
            gain = 3.0
        else:
            # The mean colour is as strong as the texture's contrast: with the same gain it would drown out the texture.
            plane, gain = window, 1.0
        plane = gain * plane / np.abs(plane).sum()
        kernel[..., index] = plane[..., None] * colour / np.linalg.norm(colour)
    return kernel


def sound_filters(rng: np.random.Generator, size: tuple[int, int], count: int) -> np.ndarray:
    """Spectro-temporal filters `(*size, 1, count)`: windowed waves of random rate in time and scale in frequency.

    One quarter is constant in time (the spectrum alone), and a quarter of those constant in frequency as well. The
    others respond to changes at 4 to 16 Hz and not at all to a steady sound.
    """
    time, mel = (np.arange(length) - (length - 1) / 2 for length in size)
    window = np.outer(np.hanning(size[0] + 2)[1:-1], np.hanning(size[1] + 2)[1:-1])
    kernel = np.empty((*size, 1, count))
    for index in range(count):
        rate = 0.0 if index < count // 4 else rng.uniform(4, 16) * rng.choice([-1, 1])
        scale = 0.0 if index < count // 16 else rng.uniform(0.0, 0.25)
        # A frame of the log-mel spectrogram is 10 ms.
        plane = window * np.cos(2 * np.pi * (rate * 0.01 * time[:, None] + scale * mel + rng.uniform()))
        if rate != 0.0:
            plane -= window * plane.sum(axis=0) / window.sum(axis=0)
            gain = 6.0
        elif scale != 0.0:
            plane -= window * plane.sum() / window.sum()
            gain = 3.0
        else:
            # The level is several times as large as its changes: with their gain it would drown them out.
            plane, gain = window, 0.5
        kernel[..., 0, index] = gain * plane / np.abs(plane).sum()
    return kernel


def mixing(rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """A random kernel whose filters each sum to zero, so that about half of the responses are negative."""
    kernel = rng.normal(size=shape)
    axes = tuple(range(len(shape) - 1))
    kernel -= kernel.mean(axis=axes, keepdims=True)
    return gain * kernel / np.sqrt(np.prod(shape[:-1]))
