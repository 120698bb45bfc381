"""Models trained on the rendered data: MAFnet beats its visual-only and its audio-only rows.

Narrower than the command's defaults and for fewer epochs, without selection: validation and test clips are both
unseen, and both are measured.
"""

import dataclasses

import numpy as np
import pytest

from avpipeline.training import runs
from mafnet import train

pytestmark = pytest.mark.trained

SEEDS = (0, 1, 2)
EPOCHS = 15
POINTS = 0.05


def arrays(split, modalities):
    return {modality: split.inputs[modality].read(np.arange(len(split))) for modality in modalities}


def accuracies(name):
    """A model's accuracy on the unseen clips for each seed.

    All seeds train in one compiled model, which takes over the weights and moments of a fresh one: compiling takes
    longer than these few epochs.
    """
    own = train.PAPER.settings_for(name)
    own = dataclasses.replace(own, network=dataclasses.replace(own.network, units=32, filters=32))
    splits = train.load_splits(own)
    experiment = train.PAPER.experiment(own, splits)
    inputs = {split: arrays(splits[split], own.network.modalities) for split in splits}
    unseen = np.concatenate([splits[split].labels.argmax(-1) for split in ("val", "test")])
    model, scores = None, []
    for seed in SEEDS:
        runs.set_seed(seed)
        fresh = experiment.build()
        fresh.optimizer.build(fresh.trainable_variables)
        model = model or fresh
        for mine, theirs in zip(_variables(model), _variables(fresh), strict=True):
            mine.assign(theirs)
        fit = {"batch_size": own.training.batch_size, "epochs": EPOCHS, "verbose": 0}
        model.fit(inputs["train"], splits["train"].labels, **fit)
        predicted = np.concatenate([model(inputs[split]).numpy().argmax(-1) for split in ("val", "test")])
        scores.append(np.mean(predicted == unseen))
    return scores


def _variables(model):
    return [*model.variables, *model.optimizer.variables]


def test_mafnet_beats_each_of_its_modalities_by_five_points():
    scores = {name: np.mean(accuracies(name)) for name in ("mafnet", "visual", "audio")}
    print(scores)
    assert scores["mafnet"] >= max(scores["visual"], scores["audio"]) + POINTS
