"""The numbers of cross-modality localization (Section 5 of Tian et al., ECCV 2018).

Paper     https://arxiv.org/abs/1803.08842
Command   python -m ave.match --model avdln --data DIR --seeds 3
Expected  44.8 % (A2V) and 35.6 % (V2A) exact matches on AVE's 402 short-event test videos (Table 3, AVDLN)
Cost      20 epochs of 4173 steps of 8 pairs: minutes on two cores; 90 MB of features in memory

The authors' code of this part is Keras code, so Adam is Keras's with Keras's epsilon, 1e-7 (the segment
classifiers of `ave.config` are torch code and use 1e-8). Paper and code agree, so there is no choice of preset;
the code's test script mentions a margin of 1.0, which it does not use.

DCCA (Andrew et al., ICML 2013) is a baseline of which the paper gives one figure a direction and no recipe. All its
numbers below are assumptions: AVDLN's branches but for their outputs, 10 each, all of which span the shared space;
mini-batches large enough to estimate their correlations; regularisation 1e-4, as is common with mini-batches.
"""

import dataclasses

MODELS = {
    "avdln": "audio-visual distance learning network (Table 3, AVDLN)",
    "dcca": "deep canonical correlation analysis, the paper's baseline (Table 3, DCCA)",
}

# What is asked with -> what is searched.
DIRECTIONS = {"a2v": "from a sound, where in the frames", "v2a": "from frames, where in the sound"}
# Rows of the paper -> (model, direction).
ROWS = {
    ("Table 3", f"{model.upper()} {direction.upper()}"): (model, direction)
    for model in MODELS
    for direction in DIRECTIONS
}

# AVDLN is the authors' code, DCCA was never published by them.
PRESETS = {"avdln": "code", "dcca": "paper"}


@dataclasses.dataclass(frozen=True)
class MatchModelConfig:
    """Sizes of a network that measures how far apart a sound and a picture are."""

    hidden_units: int = 128
    """Size of the first dense layer of each branch."""
    embedding_units: int = 64
    """Size of the second one, which is the space in which distances are measured; DCCA turns and scales it."""
    negative_slope: float = 0.3
    """Slope of LeakyReLU below zero (Keras's default)."""
    regularisation: float = 1e-4
    """DCCA: added to the diagonals of the covariances."""


@dataclasses.dataclass(frozen=True)
class MatchTrainConfig:
    """The training recipe."""

    margin: float = 2.0
    """AVDLN: pairs that do not match are pushed apart up to this distance."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    epsilon: float = 1e-7
    """Adam's epsilon, Keras's default."""
    batch_size: int = 8
    """Pairs of one-second segments a step; the last partial batch of an epoch is left out."""
    shuffle: bool = True
    """A new order of the pairs each epoch, as Keras's fit does by default."""
    epochs: int = 20
    """Passes over the training pairs."""
    validate_every: int = 1
    """Epochs between validations; the weights of the most exact matches on validation are kept."""


# Settings that one model alone has.
ONLY_OF = {"avdln": ("margin",), "dcca": ("regularisation",)}

_NETWORK = {"avdln": {}, "dcca": {"embedding_units": 10}}
_TRAINING = {"avdln": {}, "dcca": {"batch_size": 1000}}

# The rendered clips give 1280 pairs, 992 of them matching, where AVE gives 33390: batches of DCCA that fit, and more
# passes. AVDLN is trained there as on AVE.
RENDERED_TRAINING = {"avdln": {}, "dcca": {"batch_size": 256, "epochs": 40}}


def match_model_config(name: str, **overrides) -> MatchModelConfig:
    """Sizes of one of `MODELS`.

    Raises:
      ValueError: unknown model.
    """
    _check(name)
    return dataclasses.replace(MatchModelConfig(), **{**_NETWORK[name], **overrides})


def match_train_config(name: str, dataset: str = "ave", **overrides) -> MatchTrainConfig:
    """Training recipe of one of `MODELS`.

    Raises:
      ValueError: unknown model.
    """
    _check(name)
    rendered = RENDERED_TRAINING[name] if dataset == "rendered" else {}
    return dataclasses.replace(MatchTrainConfig(), **{**_TRAINING[name], **rendered, **overrides})


def _check(name: str) -> None:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; the models are {', '.join(MODELS)}")
