"""`python -m jca.evaluate`: a saved model's segment accuracy on a split, overall and per class; confusion matrix."""

from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.results.evaluation import EvaluationSettings, report_classes, require_fit
from avpipeline.training.saved import load_model


def main(settings: EvaluationSettings) -> None:
    """Evaluates a saved model on a split: segment accuracy, accuracy of each class, confusion matrix.

    Examples:
      python -m jca.evaluate --weights W.keras --data DIR
    """
    from jca.reading import measured

    model, info = load_model(settings.weights, paper="jca")
    split = load_split(settings.chosen_dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    outcome = measured(model, split)
    predictions = outcome.arrays["predictions"]
    mean, noise = (100 * outcome.figures[name] for name in ("author_reading", "author_reading_std"))
    also = f"As the authors' code reads it, over shuffled batches of 64 videos: {mean:.2f} +- {noise:.2f} %\n"
    report_classes(settings.out, settings.weights, info, split, predictions, further=outcome.figures, also=also)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.evaluate"))
