"""What every training command does: train, print ours beside the paper's results, show an example."""

from collections.abc import Callable, Iterable

from avpipeline.results import papers
from avpipeline.training.paper import Paper, Trained

Compared = Iterable[tuple[papers.Published, papers.Measured]]


def compared(paper: Paper, trained: Trained) -> Compared:
    """The paper's result of the first row that the model reproduces, with ours."""
    table, row = paper.rows_of(trained.settings.model)[0]
    return [(papers.lookup(paper.name, table, row), papers.Measured(trained.scores, trained.data))]


def train(paper: Paper, settings, compare: Callable[[Paper, Trained], Compared] = compared) -> Trained:
    """Trains what `settings` describe over the seeds and reports it.

    Args:
      compare: gives the paper's results and ours.
    """
    paper.announce(settings)
    trained = paper.train(settings)
    lines = list(compare(paper, trained))
    tables = ", ".join(dict.fromkeys(published.table for published, _ in lines))
    of_table = f", {tables} of the paper" if tables else ""
    print(f"\n{settings.model}, preset {settings.preset}{of_table}; ours selected on validation:\n")
    print(papers.comparison(lines))
    paper.draw_example(trained)
    print(f"Result, weights, logs and pictures are in {settings.folder}")
    return trained
