"""Where in the picture the sound comes from (Section 4.2, Figure 5), with no training for it."""

import numpy as np


def sound_localization(maps: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """alpha = V_t . z^A_t for every region and moment: `(time, height, width)`.

    Args:
      maps: V, the last activation of the video backbone, `(time, height, width, channels)`.
      audio: z^A, `(time, channels)`.
    """
    return np.einsum("thwc,tc->thw", maps, audio)
