"""`python -m eventlayers.convert mc3_18-a90a0ba3.pth OUT.keras`: torchvision's MC3-18, the video backbone, for Keras.

The paper's authors have published no weights. Training reads torchvision's checkpoint directly (`--video-weights`); the
`.keras` file is for any other use of the Keras model.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from avpipeline.cli import Count, run
from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import atomic_path


@dataclasses.dataclass(frozen=True)
class Settings:
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """A torchvision checkpoint, e.g. mc3_18-a90a0ba3.pth, in torch's legacy or zip container."""
    out: tyro.conf.Positional[Path]
    """The .keras file to write: the network with its classifier."""
    network: Literal["mc3_18", "r3d_18", "r2plus1d_18"] = "mc3_18"
    """The network in the checkpoint; the paper's is MC3-18."""
    frames: Count = 100
    """Number of frames in the model's input."""
    size: Count = 112
    """Height and width of these frames."""


def main(settings: Settings) -> None:
    """Converts a torchvision checkpoint of a video network to a .keras model, which takes normalised frames.

    Examples:
      python -m eventlayers.convert mc3_18-a90a0ba3.pth mc3.keras
    """
    from avpipeline.features import mc3

    if settings.out.suffix != ".keras":
        raise InputError(f"{settings.out}: a Keras model's file name must end in .keras; choose such a name.")
    sizes = {"frames": settings.frames, "size": settings.size}
    model = mc3.build_video_classifier(settings.network, settings.checkpoint, **sizes)
    with atomic_path(settings.out) as temporary:
        model.save(temporary)
    trainable = sum(weight.numpy().size for weight in model.trainable_weights)
    print(f"{settings.checkpoint}: {model.name}, {trainable:,} trainable parameters, written to {link(settings.out)}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.convert"))
