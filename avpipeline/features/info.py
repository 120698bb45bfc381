"""The identity of a feature: the network, which of its outputs, and the weights.

It is easy to mix up VGGish embeddings before and after the last ReLU, whitened or not, and to train for days on the
wrong ones. So every stored feature, every dataset split and every saved model carries a `FeatureInfo`, and they are
compared wherever they meet.
"""

import dataclasses
import math
from collections.abc import Mapping

from avpipeline.errors import InputError

# The most numbers in the feature of one segment; VGG-19's maps have 25,088.
_MOST_NUMBERS = 1 << 26


@dataclasses.dataclass(frozen=True)
class FeatureInfo:
    """Identity of one modality's features.

    Attributes:
      extractor: the network, e.g. `"vggish"`, `"vgg19"`.
      variant: which of its outputs, e.g. `"embedding_relu"`, `"pool5"`.
      weights: name of the weights, e.g. `"audioset"`, `"imagenet"`, `"none"` (seeded random).
      sha256: hash of the weight values; empty if unknown (the authors' released features).
      shape: shape of the feature of one segment, e.g. `(7, 7, 512)`.
    """

    extractor: str
    variant: str
    weights: str
    sha256: str
    shape: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))

    @property
    def label(self) -> str:
        """`extractor:variant`, the form used on the command line."""
        return f"{self.extractor}:{self.variant}"

    @property
    def named(self) -> str:
        """Label and weights, for sentences."""
        return f"{self.label} ({self.weights})"

    def to_json(self) -> dict:
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, fields: Mapping) -> "FeatureInfo":
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is something else."""
        values = {field.name: fields[field.name] for field in dataclasses.fields(cls)}
        texts = [value for name, value in values.items() if name != "shape"]
        if not all(isinstance(text, str) for text in texts) or not isinstance(values["shape"], list):
            raise TypeError("a feature is described by texts and a shape")
        if not all(type(size) is int and size > 0 for size in values["shape"]):
            raise ValueError("a shape has whole numbers above 0")
        if math.prod(values["shape"]) > _MOST_NUMBERS:
            raise ValueError(f"no segment has {values['shape']} numbers")
        return cls(**values)

    def difference(self, other: "FeatureInfo") -> str | None:
        """How `other` differs, in words; None if both are the same features.

        An empty hash (unknown) matches every hash.
        """
        for name in ("extractor", "variant", "weights", "shape"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {theirs} where {mine} is needed"
        if self.sha256 and other.sha256 and self.sha256 != other.sha256:
            return f"weight hash {other.sha256[:12]} where {self.sha256[:12]} is needed"
        return None


def require_same(needed: Mapping[str, FeatureInfo], given: Mapping[str, FeatureInfo], where: str) -> None:
    """Raises InputError unless `given` has the same features as `needed`, for each of its modalities.

    Args:
      where: the file or dataset being read, for the error message.
    """
    for modality, info in needed.items():
        if modality not in given:
            raise InputError(f"{where}: has no {modality} features, but the model needs {info.label}; extract them.")
        difference = info.difference(given[modality])
        if difference:
            raise InputError(
                f"{where}: its {modality} features do not fit the model ({difference}); "
                f"extract {info.label} with weights '{info.weights}' again."
            )
