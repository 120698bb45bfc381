"""JCA trained on the rendered data is no worse than A+V-att, on clips of a generator seed nothing was trained on.

Both are trained for as many epochs: as few as JCA needs to come near its level on the validation clips.
"""

import dataclasses

import numpy as np
import pytest

import ave.train
import jca.train
from avpipeline.training import runs
from tests.helpers.one_graph import OneGraph
from tests.helpers.rendered_training import SEEDS

pytestmark = pytest.mark.trained

EPOCHS = 16


@pytest.fixture(scope="module")
def scores(unseen, tmp_path_factory):
    """Test accuracies of each model, one a seed."""
    folder = tmp_path_factory.mktemp("rendered")

    def trained(command, model):
        settings = command.PAPER.settings_for(model)
        settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, epochs=EPOCHS))
        experiment = command.PAPER.experiment(settings, unseen)
        experiment = dataclasses.replace(experiment, build=OneGraph(experiment.build))
        result = runs.run(experiment, folder / model, SEEDS)
        return np.array([seed["test"] for seed in result["seeds"]])

    return {"jca": trained(jca.train, "jca"), "av_att": trained(ave.train, "av_att")}


def test_jca_is_within_a_standard_deviation_of_av_att_or_above(scores):
    print(scores)
    pooled = np.sqrt((scores["jca"].var(ddof=1) + scores["av_att"].var(ddof=1)) / 2)
    assert scores["jca"].mean() >= scores["av_att"].mean() - pooled


def test_no_seed_knows_background_alone(scores, unseen):
    background = np.mean(unseen["test"].labels.argmax(-1) == unseen["test"].labels.shape[-1] - 1)
    assert all(scores["jca"] > 2 * background)
