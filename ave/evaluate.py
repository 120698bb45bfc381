"""`python -m ave.evaluate`: a saved model's segment accuracy on a split, overall and per class; confusion matrix."""

from ave.match.weights import require_labeller
from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.results.evaluation import EvaluationSettings, report_classes, require_fit
from avpipeline.training.saved import load_model


def main(settings: EvaluationSettings) -> None:
    """Evaluates a saved model on a split: segment accuracy, accuracy of each class, confusion matrix.

    Examples:
      python -m ave.evaluate --weights W.keras
      python -m ave.evaluate --weights W.keras --data DIR --split val
    """
    from ave.models import is_weak
    from avpipeline.training.runs import predict

    model, info = load_model(settings.weights, paper="ave")
    require_labeller(settings.weights, info, "python -m ave.match.evaluate")
    split = load_split(settings.chosen_dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    predictions = predict(model, split, output="segments" if is_weak(model) else None)
    report_classes(settings.out, settings.weights, info, split, predictions)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.evaluate"))
