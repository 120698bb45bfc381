"""The frames of a rendered clip: textured objects moving over a drifting textured background."""

import colorsys
import dataclasses

import numpy as np

from avpipeline.datasets.rendering.storyboards import LOOKS, SECONDS, Storyboard

SIZE = 128
FRAME_RATE = 12
_STREAM = 1
# Decay time of the swelling after a strike, in seconds.
_PULSE = 0.12


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object of one clip: what varies between objects of the same look.

    Attributes:
      radius: in pixels.
      colours: dark and bright RGB, `(2, 3)`, 0 to 255; the hues of different looks overlap.
      repeats: periods of the texture per radius.
      path: amplitude, frequency (Hz) and phase of each coordinate, `(2, 3)`, about the centre of the frame.
      turn: initial angle and angular velocity, in radians and radians per second.
    """

    radius: float
    colours: np.ndarray
    repeats: float
    path: np.ndarray
    turn: tuple[float, float]

    def place(self, time: float) -> np.ndarray:
        """Centre (x, y) in pixels at a time of the clip, in seconds."""
        amplitude, frequency, phase = self.path.T
        return SIZE / 2 + amplitude * np.sin(2 * np.pi * (frequency * time + phase))


def thing(board: Storyboard, look: int) -> Thing:
    """The object of that look in this clip, the same in events and as a distractor."""
    rng = board.generator(_STREAM, 0, look)
    radius = rng.uniform(18, 29)
    hue = (look / len(LOOKS) + rng.uniform(-0.2, 0.2)) % 1.0
    colours = [_rgb(hue, rng.uniform(0.5, 0.9), value) for value in (rng.uniform(0.15, 0.4), rng.uniform(0.75, 1.0))]
    reach = SIZE / 2 - radius
    path = np.stack([rng.uniform(0.4, 1.0, 2) * reach, rng.uniform(0.05, 0.2, 2), rng.uniform(0, 1, 2)], axis=1)
    turn = (rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0) * rng.choice([-1, 1]))
    return Thing(radius, np.array(colours), rng.uniform(1.4, 2.0), path, turn)


def render_frames(board: Storyboard) -> np.ndarray:
    """All frames of a clip: `(seconds * FRAME_RATE, SIZE, SIZE, 3)` uint8 RGB."""
    rng = board.generator(_STREAM, 1)
    frames = _background(rng)
    for stretch in board.stretches:
        if stretch.look is None:
            continue
        item = thing(board, stretch.look)
        for index in range(stretch.start * FRAME_RATE, stretch.end * FRAME_RATE):
            _draw(frames[index], item, stretch.look, index / FRAME_RATE, stretch.strikes)
    noise = rng.standard_normal(frames.shape[:3], dtype=np.float32)[..., None] * rng.uniform(1, 6)
    return np.clip(np.rint(frames * rng.uniform(0.85, 1.1) + noise), 0, 255).astype(np.uint8)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _background(rng: np.random.Generator) -> np.ndarray:
    """Slowly drifting cloudy noise between two pale colours: float32 frames."""
    size = SIZE + 32
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) + 1 / size
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency ** rng.uniform(0.8, 1.6)
    cloud = np.fft.irfft2(spectrum, s=(size, size))
    cloud = np.clip(0.5 + 0.25 * (cloud - cloud.mean()) / cloud.std(), 0, 1)[..., None].astype(np.float32)
    dark, bright = (_rgb(rng.uniform(), rng.uniform(0.1, 0.5), value) for value in rng.uniform([0.2, 0.5], [0.5, 0.8]))
    clouds = (dark + cloud * (bright - dark)).astype(np.float32)
    drift = rng.uniform(-5, 5, size=2)
    frames = np.empty((SECONDS * FRAME_RATE, SIZE, SIZE, 3), np.float32)
    for index in range(len(frames)):
        y, x = np.rint(drift * index / FRAME_RATE).astype(int)
        frames[index] = np.roll(clouds, (y, x), axis=(0, 1))[:SIZE, :SIZE]
    return frames


def _draw(frame: np.ndarray, item: Thing, look: int, time: float, strikes: tuple[float, ...]) -> None:
    """Draws the object into a frame, in place; a strike makes it swell and light up briefly."""
    since = min((time - strike for strike in strikes if strike <= time), default=np.inf)
    pulse = np.exp(-since / _PULSE)
    radius = item.radius * (1 + 0.25 * pulse)
    x, y = item.place(time)
    # Every shape lies within 1.4 radii of its centre.
    half = 1.4 * radius
    left, right = max(0, int(x - half)), min(SIZE, int(x + half) + 2)
    top, bottom = max(0, int(y - half)), min(SIZE, int(y + half) + 2)
    across, down = np.meshgrid(np.arange(left, right) - x, np.arange(top, bottom) - y)
    angle = item.turn[0] + item.turn[1] * time
    u = (across * np.cos(angle) + down * np.sin(angle)) / radius
    v = (down * np.cos(angle) - across * np.sin(angle)) / radius
    distance, wave = _SHAPES[look](u, v, 2 * np.pi * item.repeats)
    cover = np.clip(0.5 - distance * radius, 0, 1)[..., None]
    tone = np.clip(0.5 + 3 * wave, 0, 1)[..., None]
    dark, bright = item.colours
    colour = dark + tone * (bright - dark)
    colour += 0.4 * pulse * (255 - colour)
    patch = frame[top:bottom, left:right]
    patch += cover * (colour - patch)


# Each shape is a function of coordinates in radii and of the texture's angular frequency. It returns the distance to
# the shape's edge in radii (negative inside) and the texture's wave (positive: bright).


def _striped_disc(u, v, frequency):
    return np.hypot(u, v) - 1, np.sin(frequency * u)


def _chequered_square(u, v, frequency):
    return np.maximum(np.abs(u), np.abs(v)) - 0.85, np.sin(0.8 * frequency * u) * np.sin(0.8 * frequency * v)


def _ringed_triangle(u, v, frequency):
    sides = [u * np.cos(angle) + v * np.sin(angle) for angle in 2 * np.pi * np.arange(3) / 3]
    return np.maximum.reduce(sides) - 0.65, np.sin(frequency * np.hypot(u, v))


def _dotted_cross(u, v, frequency):
    u_size, v_size = np.abs(u), np.abs(v)
    bars = np.maximum(np.minimum(u_size, v_size) - 0.4, np.maximum(u_size, v_size) - 1.0)
    return bars, np.cos(frequency * u) * np.cos(frequency * v) - 0.3


_SHAPES = (_striped_disc, _chequered_square, _ringed_triangle, _dotted_cross)
