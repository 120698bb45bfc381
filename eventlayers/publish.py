"""`python -m eventlayers.publish RUN --to hf://user/name`: a trained model with its card, for others."""

from avpipeline.cli import run
from avpipeline.results.publish import PublishSettings, publish
from eventlayers.train import PAPER


def main(settings: PublishSettings) -> None:
    """Writes a folder with the weights of a run, a model card and the record, and uploads it to the Hugging Face Hub.

    Examples:
      python -m eventlayers.publish runs/eventlayers/event_layers-paper --to published
      python -m eventlayers.publish runs/eventlayers/event_layers-paper --to hf://user/name --licence apache-2.0
    """
    publish(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.publish"))
