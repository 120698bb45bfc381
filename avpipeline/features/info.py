"""What a feature is: which network made it, which of its outputs, with which weights.

Users of audio-visual features mix up VGGish before and after its last ReLU, whitened or not, and train for
days on the wrong one. So every stored feature, every dataset split and every saved model carries a
`FeatureInfo`, and whatever meets is compared.
"""

import dataclasses
from collections.abc import Mapping

from avpipeline.errors import InputError


@dataclasses.dataclass(frozen=True)
class FeatureInfo:
    """Identity of one modality's features.

    Attributes:
      extractor: the network, e.g. `"vggish"`, `"vgg19"`.
      variant: which output of it, e.g. `"embedding_relu"`, `"pool5"`.
      weights: name of the weights, e.g. `"audioset"`, `"imagenet"`, `"none"` (seeded random).
      sha256: hash of the weight values; empty where it cannot be known (the authors' released features).
      shape: shape of one segment's feature, e.g. `(7, 7, 512)`.
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
        """`extractor:variant`, the form users type."""
        return f"{self.extractor}:{self.variant}"

    def to_json(self) -> dict:
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, fields: Mapping) -> "FeatureInfo":
        return cls(**{field.name: fields[field.name] for field in dataclasses.fields(cls)})

    def difference(self, other: "FeatureInfo") -> str | None:
        """Says in words how `other` differs, None where both are the same features.

        An empty hash (unknown) agrees with every hash.
        """
        for name in ("extractor", "variant", "weights", "shape"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {theirs} where {mine} is needed"
        if self.sha256 and other.sha256 and self.sha256 != other.sha256:
            return f"weight hash {other.sha256[:12]} where {self.sha256[:12]} is needed"
        return None


def require_same(needed: Mapping[str, FeatureInfo], given: Mapping[str, FeatureInfo], where: str) -> None:
    """Raises InputError unless `given` has, for each modality of `needed`, the same features.

    Args:
      where: what is being read, for the sentence (a file or dataset).
    """
    for modality, info in needed.items():
        if modality not in given:
            raise InputError(f"{where}: has no {modality} features, the model needs {info.label}; extract them.")
        difference = info.difference(given[modality])
        if difference:
            raise InputError(
                f"{where}: its {modality} features do not fit the model ({difference}); "
                f"extract {info.label} with weights '{info.weights}' again."
            )
