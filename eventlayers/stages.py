"""The two stages of training: first each backbone with a linear head, then the event layers on both."""

from collections.abc import Callable, Mapping
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import read_record
from avpipeline.training.experiment import configuration_hash
from avpipeline.training.saved import load_model
from eventlayers.config import BACKBONE_MODELS, ModelConfig

_AGAIN = "train that backbone again"


def needs_backbones(network: ModelConfig) -> bool:
    """Whether a model belongs to the second stage, whose backbones are trained separately before."""
    return network.inputs == "clips" and len(network.modalities) > 1


def datasets_of_backbones(folder: Path | None) -> set[str | None]:
    """The datasets that the first stage's backbones in `folder` were trained on; None stands for a missing backbone."""
    paths = [Path(folder or "") / model / "settings.json" for model in BACKBONE_MODELS.values()]
    return {read_record(path, _AGAIN).get("dataset") if folder and path.is_file() else None for path in paths}


def backbone_identities(folders: Mapping[str, Path]) -> dict[str, str]:
    """Model of the first stage -> configuration of its run.

    Args:
      folders: modality -> folder of the run that trained the backbone.

    Raises:
      InputError: there is no such run.
    """
    identities = {}
    for modality, model in BACKBONE_MODELS.items():
        path = folders[modality] / "settings.json"
        if not path.is_file():
            raise InputError(f"{path.parent}: has no trained backbone; train {model} on clips into that folder.")
        identities[model] = configuration_hash(read_record(path, _AGAIN))
    return identities


def start_from_backbones(folders: Mapping[str, Path]) -> Callable:
    """Function of (model, seed) that loads the backbones from the first stage of the same seed."""
    from eventlayers.models import BACKBONES

    def start(model, seed: int) -> None:
        for modality, name in BACKBONES.items():
            path = folders[modality] / f"seed-{seed}" / "best.keras"
            trained, _ = load_model(path, paper="eventlayers")
            model.get_layer(name).set_weights(trained.get_layer(name).get_weights())
            print(f"seed {seed}: the {modality} backbone is loaded from {path}")

    return start
