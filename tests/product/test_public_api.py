"""docs/api.md lists every public name with the first sentence of its docstring; `python
tests/product/test_public_api.py` rewrites it."""

import ast
import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
PAPERS = ("ave", "mafnet", "jca", "attendfusion", "eventlayers")
# What the papers share and a notebook or another project takes from it.
SHARED = {
    "avpipeline.datasets": ("load_split", "load_video_split", "load_weak_training", "register_dataset"),
    "avpipeline.datasets.video_lists": ("VideoList",),
    "avpipeline.datasets.batches": ("batches", "steps_per_epoch"),
    "avpipeline.media": ("probe", "read_clip", "read_frames", "read_waveform", "write_clip"),
    "avpipeline.features.logmel": ("LogMel", "split_seconds"),
    "avpipeline.datasets.rendered": ("rendered_clips",),
    "avpipeline.features.registry": ("EXTRACTORS", "build_extractor", "clip_features"),
    "avpipeline.extract": ("extract",),
    "avpipeline.nn.recurrent": ("TorchLSTM", "TorchGRU", "BidirectionalLSTM", "BidirectionalGRU"),
    "avpipeline.nn.losses": ("MultiLabelSoftMargin",),
    "avpipeline.nn.optimizers": ("Adam",),
    "avpipeline.metrics": ("SegmentAccuracy", "segment_accuracy", "confusion_matrix", "per_class_accuracy"),
    "avpipeline.metrics.ranking": ("GAP", "F1", "HitAtOne", "PERR", "MeanAveragePrecision", "BestThreshold"),
    "avpipeline.checkpoints": ("read_torch", "read_tf1", "read_keras_h5", "read_pickle_arrays"),
    "avpipeline.training.saved": ("ModelInfo", "load_model", "save_model"),
    "avpipeline.training.experiment": ("Experiment", "Outcome"),
    "avpipeline.training.runs": ("run", "predict"),
    "avpipeline.results.papers": ("rows", "lookup", "comparison"),
    "avpipeline.plots": ("timeline", "attention_frames", "attention_figure"),
    "avpipeline.plots.charts": ("confusion_matrix", "curves"),
    "avpipeline.plots.style": ("as_jpeg",),
    "avpipeline.predict.segments": ("Predictor", "predict_file", "write_prediction"),
    "avpipeline.predict.describing": ("load_describer", "describe_file", "write_description"),
    "avpipeline.errors": ("InputError",),
    "ave.models": ("forward_of",),
    "mafnet.config": ("RENDERED_MODEL", "RENDERED_TRAINING"),
    "mafnet.data": ("fitted", "load_split"),
    "mafnet.models": ("classifier",),
    "mafnet.pictures": ("embeddings", "modality_scores"),
    "mafnet.tsne": ("film_embeddings", "in_the_plane"),
    "attendfusion.config": ("RENDERED_MODEL", "RENDERED_TRAINING"),
    "attendfusion.data": ("RecordSettings", "load_records"),
    "attendfusion.models": ("video_classifier",),
    "attendfusion.evaluation": ("evaluate",),
    "attendfusion.pictures": ("Example", "accuracy_against_parameters", "examples"),
    "attendfusion.train": ("PAPER", "fitted"),
    "eventlayers.analysis": ("complementary_by_group",),
    "eventlayers.pictures": ("event_characteristics",),
    "eventlayers.predict": ("Predictor", "write_file"),
    "eventlayers.train": ("PAPER", "splits_of"),
}
CONSTANTS = {
    "MODELS": "names of the models that `build_model` knows, with what each is",
    "PRESETS": "names of the presets",
    "CLASS_NAMES": "the dataset's classes in the order of the labels",
    "LAYERS": "names of the five heads",
    "EXTRACTORS": "names of the feature extractors, with what each is",
    "RENDERED_MODEL": "settings of the model on synthetic clips that differ from the published ones",
    "RENDERED_TRAINING": "settings of the training on synthetic clips that differ from the published ones",
    "PAPER": "what the commands need to know about the paper: settings, experiment, rows",
}
_HEAD = """# Public names

What a notebook or another project may import; everything else may change without an entry in the changelog.
Each docstring gives shapes, units and errors. The commands are in the [README](../README.md).
"""


def first_sentence(value) -> str:
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    # A full stop ends it where another sentence begins, not in "e.g." or "Fig. 2".
    return re.split(r"(?<=[^.]{3}\.) (?=[A-Z`])", text)[0]


def page() -> str:
    sections = [_HEAD]
    for module, names in {**dict.fromkeys(PAPERS), **SHARED}.items():
        package = importlib.import_module(module)
        lines = []
        # Constants, classes, functions.
        for name in names or sorted(package.__all__, key=lambda name: (not name.isupper(), name.islower(), name)):
            value = getattr(package, name)
            said = first_sentence(value) if callable(value) else CONSTANTS[name]
            lines.append(f"- `{name}`: {said}")
        sections.append(f"## `{module}`\n\n{first_sentence(package)}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(sections)


def test_the_page_is_what_the_packages_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/product/test_public_api.py"


@pytest.mark.parametrize("paper", PAPERS)
def test_packages_have_the_same_face(paper):
    package = importlib.import_module(paper)
    assert {"MODELS", "PRESETS", "ModelConfig", "TrainConfig", "build_model", "compile_model"} <= {*package.__all__}
    assert {"model_config", "train_config", "register_model"} <= {*package.__all__}


@pytest.mark.parametrize("package", [*PAPERS, "avpipeline.metrics", "avpipeline.plots"])
def test_a_stub_exports_what_it_imports(package):
    """Python takes the names from the stub's imports, a type checker from its `__all__`."""
    module = importlib.import_module(package)
    stub = ast.parse(Path(module.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    (listed,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert len(set(listed)) == len(listed) and sorted(listed) == sorted(module.__all__)


@pytest.mark.parametrize(
    ("module", "name"),
    [(paper, name) for paper in PAPERS for name in importlib.import_module(paper).__all__]
    + [(module, name) for module, names in SHARED.items() for name in names],
)
def test_every_name_says_what_it_is(module, name):
    value = getattr(importlib.import_module(module), name)
    if callable(value):
        assert inspect.getdoc(value) and value.__module__.partition(".")[0] in (*PAPERS, "avpipeline")
        assert first_sentence(value).endswith((".", ":")), (name, first_sentence(value))
    else:
        assert name in CONSTANTS


def names_taught() -> set[tuple[str, str, str]]:
    """(notebook, module, name) of everything of the packages that a notebook imports."""
    found = set()
    for path in sorted((PAGE.parents[1] / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in (*PAPERS, "avpipeline"):
                    found |= {(path.name, node.module, alias.name) for alias in node.names}
    return found


def test_notebooks_teach_public_names_only():
    listed = {(module, name) for module, names in SHARED.items() for name in names}
    listed |= {(paper, name) for paper in PAPERS for name in importlib.import_module(paper).__all__}
    modules = {module for module, _ in listed}
    taught = names_taught()
    assert len(taught) > 50
    unlisted = {each for each in taught if each[1:] not in listed and f"{each[1]}.{each[2]}" not in modules}
    assert not unlisted


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
