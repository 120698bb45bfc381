"""Hyperparameters of cross-modality localization (Section 5 of Tian et al., ECCV 2018).

Paper     https://arxiv.org/abs/1803.08842
Command   python -m ave.match --model avdln --data DIR --seeds 3
Expected  44.8 % (A2V) and 35.6 % (V2A) exact matches on AVE's 402 short-event test videos (Table 3, AVDLN)
Cost      20 epochs of 4174 steps of 8 pairs: minutes on two cores; 90 MB of features in memory

The authors wrote this part in Keras, so Adam is Keras's with Keras's epsilon, 1e-7 (the segment classifiers of
`ave.config` were written in torch and use 1e-8). Paper and code agree, so there is no choice of preset; the code's
test script sets a margin of 1.0, but does not use it.

DCCA (Andrew et al., ICML 2013) is a baseline for which the paper gives one result per direction and no recipe. All its
hyperparameters below are assumptions: AVDLN's branches, but with 10 outputs each, all of which span the shared space;
mini-batches large enough to estimate their correlations; regularisation 1e-4, as is common with mini-batches.
"""

import dataclasses

from avpipeline.cli import Checked, Count, Penalty, Positive, Rate, Share, Units
from avpipeline.training.own_models import OwnModels
from avpipeline.training.settings import Hyperparameters, Select

_SYSTEMS = {
    "avdln": ("audio-visual distance learning network (Table 3, AVDLN)", {}),
    "dcca": ("deep canonical correlation analysis, the paper's baseline (Table 3, DCCA)", {"embedding_units": 10}),
}

# Direction -> what is the query and what is searched.
DIRECTIONS = {"a2v": "audio query, located in the video frames", "v2a": "visual query, located in the audio"}
# Rows of the paper -> (model, direction).
ROWS = {
    ("Table 3", f"{model.upper()} {direction.upper()}"): (model, direction)
    for model in _SYSTEMS
    for direction in DIRECTIONS
}


@dataclasses.dataclass(frozen=True)
class MatchModelConfig(Checked):
    """Sizes of a network that measures the distance between an audio and a visual segment."""

    hidden_units: Units = 128
    """Size of the first dense layer of each branch."""
    embedding_units: Units = 64
    """Size of the second one, whose outputs are the embeddings; distances are measured between them or, in DCCA,
    between their projections."""
    negative_slope: Share = 0.3
    """Slope of LeakyReLU for negative inputs (Keras's default)."""
    regularisation: Penalty = 1e-4
    """DCCA: added to the diagonals of the covariance matrices."""


@dataclasses.dataclass(frozen=True)
class MatchTrainConfig(Hyperparameters):
    """Training hyperparameters. Those without a line here have the values of `Hyperparameters`."""

    margin: Positive = 2.0
    """AVDLN: pairs that do not match are pushed apart up to this distance."""
    learning_rate: Rate = 1e-3
    epsilon: Rate = 1e-7
    """Adam's epsilon, Keras's default."""
    batch_size: Count = 8
    """Pairs of one-second segments in a batch."""
    partial_batches: bool = True
    """Keep the last batch of an epoch when it is not full: 4174 steps an epoch on AVE, as in the code."""
    epochs: Count = 20
    select: Select = "last"
    """Keep the weights of the last epoch, as the code does, or those with the most exact matches on validation
    ("best")."""


OWN = OwnModels(_SYSTEMS, MatchModelConfig, ("code", "paper"))
MODELS, register_matcher = OWN.names, OWN.register

# Settings that only DCCA has, and settings that it lacks.
ONLY_DCCA, NOT_DCCA = ("regularisation",), ("margin",)

# A small last batch would not do for DCCA, whose loss needs the correlations within a batch.
_TRAINING = {"dcca": {"batch_size": 1000, "partial_batches": False, "select": "best"}}

# The synthetic data has 1280 pairs, 992 of them matching, where AVE has 33390, so DCCA has smaller batches and more
# epochs there. AVDLN is trained as on AVE.
RENDERED_TRAINING = {"dcca": {"batch_size": 256, "epochs": 40}}


def match_model_config(name: str, **overrides) -> MatchModelConfig:
    """Sizes of one of `MODELS`. Raises ValueError for an unknown one."""
    OWN.require(name, preset_of(name))
    return MatchModelConfig().changed(**{**OWN.differences[name], **overrides})


def match_train_config(name: str, dataset: str = "ave", **overrides) -> MatchTrainConfig:
    """Training hyperparameters of one of `MODELS`. Raises ValueError for an unknown one."""
    OWN.require(name, preset_of(name))
    rendered = RENDERED_TRAINING.get(name, {}) if dataset == "rendered" else {}
    return MatchTrainConfig().changed(**{**_TRAINING.get(name, {}), **rendered, **overrides})


def preset_of(name: str) -> str:
    """A model's only preset: the authors published the code of AVDLN, like which user-defined models are trained."""
    return "paper" if name == "dcca" else "code"
