"""Models trained on the rendered clips and tested on clips of a generator seed that nothing was trained on."""

import dataclasses

from ave import train
from avpipeline.datasets.rendered import RenderedSettings, rendered_split
from avpipeline.training import runs

SEEDS = (0, 1, 2)
POINTS = 0.05
# Half of what the training command takes by default: enough to tell the models apart.
EPOCHS = 20


def unseen_splits():
    """`{"train", "val", "test"}`; the test clips come from another generator seed."""
    other = RenderedSettings(seed=1, train=0, val=0)
    return {
        "train": rendered_split("train"),
        "val": rendered_split("val"),
        "test": rendered_split("test", other),
    }


def trained(splits, model, out, seeds=SEEDS):
    """The result of one of AVE's models, with the default settings for rendered data but fewer epochs."""
    settings = train.PAPER.settings_for(model)
    settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, epochs=EPOCHS))
    return runs.run(train.PAPER.experiment(settings, splits), out, seeds)
