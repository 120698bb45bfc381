"""The sound of a rendered clip: synthesised tones and noise over background noise."""

import numpy as np

from avpipeline.datasets.rendering.storyboards import CONTINUOUS, INSTANT, SECONDS, SOUNDS, Storyboard, Stretch
from avpipeline.media import SAMPLE_RATE

_STREAM = 2


def render_waveform(board: Storyboard) -> np.ndarray:
    """The whole clip: `(seconds * SAMPLE_RATE,)` float32 within [-1, 1]."""
    rng = board.generator(_STREAM, len(SOUNDS))
    loudness = 10 ** (rng.uniform(-24, -14) / 20)
    noise_level = 10 ** (-rng.uniform(6, 18) / 20)
    waveform = noise_level * _noise(rng, SECONDS * SAMPLE_RATE)
    for stretch in board.stretches:
        if stretch.sound is None:
            continue
        tone = _SYNTHESISERS[stretch.sound](board.generator(_STREAM, stretch.sound), _times(stretch))
        tone /= np.sqrt(np.mean(tone**2))
        waveform[stretch.start * SAMPLE_RATE : stretch.end * SAMPLE_RATE] += tone * _envelope(stretch, board.kind)
    return np.clip(loudness * waveform, -1, 1).astype(np.float32)


def _times(stretch: Stretch) -> np.ndarray:
    """Seconds since the beginning of the stretch, for each sample."""
    return np.arange((stretch.end - stretch.start) * SAMPLE_RATE) / SAMPLE_RATE


def _noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Noise of power 1, from white to a little redder than pink."""
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples)) / np.maximum(frequency, 60.0) ** rng.uniform(0, 0.7)
    noise = np.fft.irfft(spectrum, samples)
    return noise / noise.std()


def _envelope(stretch: Stretch, kind: str) -> np.ndarray:
    """Loudness over the stretch: constant, or a sharp attack and a decay at each strike."""
    time = _times(stretch)
    if kind == CONTINUOUS:
        envelope = np.ones_like(time)
    else:
        # A single strike rings through its short event; repeated ones are separated by gaps.
        decay = 0.6 * (stretch.end - stretch.start) if kind == INSTANT else 0.12
        envelope = np.zeros_like(time)
        for strike in stretch.strikes:
            since = time - (strike - stretch.start)
            hit = np.exp(-np.maximum(since, 0) / decay) * np.clip(since / 0.003, 0, 1)
            envelope = np.maximum(envelope, 1.5 * hit)
    # Faded over 10 ms at both ends, to avoid clicks.
    return envelope * np.clip(np.minimum(time, time[-1] - time) / 0.01, 0, 1)


def _hum(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    pitch = rng.uniform(90, 150)
    vibrato = 0.3 * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    return sum(np.sin(n * (2 * np.pi * pitch * time + vibrato)) / n for n in range(1, 8))


def _bell(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    pitch = rng.uniform(600, 900)
    # Partials of a bar, as in a chime: not harmonics of one pitch.
    partials = ((1.0, 1.0), (1.52, 0.5), (2.76, 0.7), (4.07, 0.3))
    return sum(level * np.sin(2 * np.pi * ratio * pitch * time + rng.uniform(0, 6)) for ratio, level in partials)


def _hiss(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    centre, width = rng.uniform(4200, 6200), rng.uniform(500, 1000)
    frequency = np.fft.rfftfreq(len(time), 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(len(time))) * np.exp(-0.5 * ((frequency - centre) / width) ** 2)
    return np.fft.irfft(spectrum, len(time))


def _chirp(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    low, high, rate = rng.uniform(900, 1300), rng.uniform(2000, 2900), rng.uniform(4, 8)
    # The pitch swings between the two; the phase is its integral.
    swing = -(high - low) / 2 * np.cos(2 * np.pi * rate * time) / (2 * np.pi * rate)
    return np.sin(2 * np.pi * ((low + high) / 2 * time + swing))


_SYNTHESISERS = (_hum, _bell, _hiss, _chirp)
