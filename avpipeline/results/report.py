"""What every training command does: train, print the result beside the paper's, draw an example."""

from collections.abc import Callable, Iterable

from avpipeline.cli.progress import link
from avpipeline.results import papers
from avpipeline.training.paper import Paper, Trained

Compared = Iterable[tuple[papers.Published, papers.Measured]]


def compared(paper: Paper, trained: Trained) -> Compared:
    """The paper's result in the first row that the model reproduces, with ours; none for a model in no row."""
    return [
        (papers.lookup(paper.name, *place), papers.Measured(trained.scores, trained.data))
        for place in paper.rows_of(trained.settings.model)[:1]
    ]


def train(paper: Paper, settings, compare: Callable[[Paper, Trained], Compared] = compared) -> Trained:
    """Runs the experiment that `settings` describe with all seeds and reports the result.

    Args:
      compare: returns the paper's results with ours; called only for runs that may stand beside a row of the paper.
    """
    from avpipeline.training import strategy
    from avpipeline.training.curves import curves_last

    team = strategy.join(settings.devices)
    paper.announce(settings)
    with curves_last():
        trained = paper.train(settings)
        if not team.is_chief:
            # The chief reports.
            raise SystemExit(0)
        _tell(paper, trained, compare)
    paper.draw_example(trained)
    print(f"Result, weights, logs and pictures are in {link(settings.folder)}")
    return trained


def _tell(paper: Paper, trained: Trained, compare: Callable[[Paper, Trained], Compared]) -> None:
    """Prints the result, beside the paper's where it may stand there."""
    settings = trained.settings
    lines = [] if trained.unlike else list(compare(paper, trained))
    tables = ", ".join(dict.fromkeys(published.table for published, _ in lines))
    of_table = f", {tables} of the paper" if tables else ""
    selected = "selected on validation" if trained.result["selected_on"] == "val" else "of the last validated epoch"
    print(f"\n{settings.model}, preset {settings.preset}{of_table}; ours {selected}:\n")
    if lines:
        print(papers.comparison(lines))
    else:
        metric = trained.experiment.scoring.metric.replace("_", " ")
        print(f"{metric} {papers.mean_text(trained.scores, '0.0', ' %')} on {trained.data}\n")
    print(f"{trained.experiment.data.described()}\n", flush=True)
    if trained.unlike:
        print(f"This reproduces no row of the paper: {'; '.join(trained.unlike)}.\n", flush=True)
