"""The card of a published model: what it is, what it was trained on, how well it does, and what it cannot do."""

from __future__ import annotations

import statistics

from avpipeline.results import papers
from avpipeline.results.finished import Run
from avpipeline.training.saved import ModelInfo, known_papers


def model_card(run: Run, info: ModelInfo, seed: int, *, what: str, licence: str | None, name: str) -> str:
    """The text of README.md, with Hugging Face's fields at its beginning.

    Args:
      run: the run that trained the model.
      info: the model's description.
      seed: the seed whose weights are published.
      what: the model in words.
      licence: of the weights, as Hugging Face names it; None where the publisher states none.
      name: where it is published.
    """
    of_package = "the package audio-visual-fusion"
    load = (
        f"```python\nfrom avpipeline.training.saved import load_model\n\nmodel, info = load_model(\"{name}\")\n```\n"
        f"or in a terminal: `python -m {info.paper}.predict VIDEO --weights {name} --out OUT`"
    )
    sections = [
        _front_matter(info, licence),
        f"# {info.paper}: {info.model}\n\n{what}, preset \"{info.preset}\", of *{known_papers()[info.paper]}* in "
        f"{of_package}. {run.result['seeds'][0]['parameters']:,} parameters.",
        f"## Use\n\n{load}",
        f"## Result\n\n{_result(run, seed)}",
        f"## Training data and features\n\n{_data(run, info)}",
        f"## How it was trained\n\n{_made(run)}",
        f"## Limits\n\n{_limits(run, info)}",
        f"## Licence\n\n{_licences(info, licence)}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(info: ModelInfo, licence: str | None) -> str:
    tags = ["audio-visual-fusion", info.paper, "audio", "video"]
    fields = ["library_name: keras", *([f"license: {licence}"] if licence else []), "tags:"]
    return "\n".join(["---", *fields, *(f"- {tag}" for tag in tags), "---"])


def _result(run: Run, seed: int) -> str:
    own = next(each for each in run.result["seeds"] if each["seed"] == seed)
    selected = "selected on validation" if run.result.get("selected_on") == "val" else "of the last validated epoch"
    table = [
        ("metric", "data", "this model", "all seeds"),
        (
            f"{run.metric} %",
            f"{run.result['dataset']}, test split ({run.result.get('clips', {}).get('test', '?')} clips)",
            f"{100 * own['test']:.2f} (seed {seed})",
            papers.mean_text(tuple(run.scores.values()), "0.00"),
        ),
    ]
    return (
        f"{papers.markdown(table)}\nWeights {selected}, tested once; mean +- sample standard deviation over the seeds "
        f"{', '.join(map(str, run.scores))}. Validation of this seed: {100 * own['val']:.2f} %."
    )


def _data(run: Run, info: ModelInfo) -> str:
    clips = ", ".join(f"{name} {number}" for name, number in run.result.get("clips", {}).items())
    lines = [("input", "features", "weights of their network", "shape")]
    lines += [(name, one.label, one.weights, " x ".join(map(str, one.shape))) for name, one in info.features.items()]
    classes = ", ".join(info.class_names[:30]) + (" ..." if len(info.class_names) > 30 else "")
    return (
        f"Dataset {info.trained_on} (clips: {clips or 'unknown'}); {len(info.class_names)} classes: {classes}.\n\n"
        f"{papers.markdown(lines)}"
    ).rstrip()


def _made(run: Run) -> str:
    result = run.result
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
    return (
        f"```\n{result.get('command', 'unknown')}\n```\n"
        f"on {str(result.get('date', 'unknown'))[:10]}, commit {result.get('commit') or 'unknown'}, configuration "
        f"{result.get('configuration', 'unknown')}, with {versions or 'unknown versions'}. `result.json` has every "
        "setting."
    )


def _limits(run: Run, info: ModelInfo) -> str:
    limits = []
    if info.domain == "synthetic":
        limits.append(
            "Trained on synthetic clips that the package renders itself: it knows nothing of real videos, and its "
            "result says nothing about any dataset of the paper."
        )
    if run.result.get("smoke"):
        limits.append("A smoke run: trained for fewer epochs than its configuration has.")
    limits += [f"No row of the paper: {reason}." for reason in run.result.get("unlike", ())]
    if len(run.scores) == 1:
        limits.append("One seed: how much the result varies from training to training is not known.")
    else:
        spread = statistics.stdev(run.scores.values())
        limits.append(f"Another seed gives another result; these deviate by {spread:.2f} points.")
    random = [name for name, one in info.features.items() if one.weights == "none"]
    if random:
        limits.append(f"The network behind the {' and '.join(random)} features has random weights, never trained.")
    limits.append("It knows the classes above alone, and gives one of them for whatever it is shown.")
    return "\n".join(f"- {limit}" for limit in limits)


def _licences(info: ModelInfo, licence: str | None) -> str:
    """The licences of the weights, of the pretrained networks that the features are from, and of the code."""
    from avpipeline.features.registry import SOURCES

    lines = [f"Weights: {licence}." if licence else "Weights: the publisher states no licence; ask before using them."]
    for name, one in info.features.items():
        if one.weights != "none" and one.extractor in SOURCES:
            lines.append(f"Network behind the {name} features: {one.extractor}, {SOURCES[one.extractor][0].licence}.")
    lines.append("Code: Apache-2.0. The training data have licences of their own.")
    return "\n".join(f"- {line}" for line in lines)
