"""Pictures, compared pixel by pixel, and the figures that they are drawn from."""

import gc
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from PIL import Image


def pixels(path) -> np.ndarray:
    """`(height, width, 3)`, 0 to 255."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def is_same_picture(path, other) -> bool:
    """Whether two pictures show the same; numbers that differ in their last digits may give a neighbouring colour."""
    one, two = pixels(path), pixels(other)
    return one.shape == two.shape and np.abs(one - two).max() <= 2


def figures_of(draw: Callable[[], object]) -> list[Figure]:
    """The matplotlib figures that `draw` makes, as they are when it is done; nobody has to hand them over."""
    gc.collect()
    gc.disable()  # A figure and its axes refer to one another, and so stay until garbage is collected.
    try:
        earlier = {id(figure) for figure in _figures()}
        draw()
        return [figure for figure in _figures() if id(figure) not in earlier]
    finally:
        gc.enable()


def _figures() -> list[Figure]:
    return [each for each in gc.get_objects() if type(each) is Figure]
