"""`python -m eventlayers.convert mc3_18-a90a0ba3.pth OUT.keras`: torchvision's MC3-18, the video backbone, for Keras.

The paper's authors publish no weights of their own. Training reads the checkpoint itself (`--video-weights`); the
`.keras` file is for everything else that reads Keras models.
"""

from avpipeline.backbones.mc3 import main
from avpipeline.cli import run

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.convert"))
