"""A training of a small A+V-att on synthetic features, and what two runs of it have in common."""

import dataclasses

from ave import train
from tests.helpers.synthetic import synthetic_splits


def experiment(epochs=4, **changes):
    settings = train.PAPER.settings_for("av_att")
    network = dataclasses.replace(settings.network, attention_units=6, lstm_units=4, hidden_units=5)
    training = dataclasses.replace(
        settings.training,
        **{
            **{"batch_size": 3, "epochs": epochs, "validate_every": 2, "first_validation": None},
            **{"shuffle": True, "learning_rate": 0.05, **changes},
        },
    )
    settings = dataclasses.replace(settings, network=network, training=training)
    return train.PAPER.experiment(settings, synthetic_splits())


def figures(result):
    """What must be equal between two runs of the same seed: every number that training decides."""
    return [{name: seed[name] for name in ("seed", "val", "best_epoch", "test")} for seed in result["seeds"]]
