"""`python -m avfusion_benchmarks.scale`: hours and storage traffic of large datasets on many workers, simulated.

Tasks go to whichever worker is free, each reads its files from a shared storage, and (with Ray) one process writes all
results, in order. The costs are those of docs/scale.md, measured on one core; give your own to predict your cluster.
"""

import dataclasses
import heapq

from avpipeline.cli import Checked, Positive, run
from avpipeline.cli.cluster import MOST_TASKS

WORKERS = (1, 8, 64, 512)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset and the work that it takes.

    Attributes:
      name: of the dataset, and the command.
      items: clips or videos.
      tasks: pieces of work that go to a worker as a whole.
      read_mb, written_mb: of one item.
      kind: "clip" or "record", which decides the cost of one.
    """

    name: str
    items: int
    tasks: int
    read_mb: float
    written_mb: float
    kind: str


# VGG-19's maps and VGGish's embeddings of ten seconds.
_CLIP_MB = 10 * (7 * 7 * 512 + 128) * 4 / 1e6
DATASETS = (
    Dataset("AVE, extract", 4_143, MOST_TASKS, 1.5, _CLIP_MB, "clip"),
    Dataset("VGGSound, extract", 199_176, MOST_TASKS, 1.5, _CLIP_MB, "clip"),
    Dataset("Kinetics-400, extract", 306_245, MOST_TASKS, 1.5, _CLIP_MB, "clip"),
    # Frame level, 1.53 TB in 3844 files a split.
    Dataset("YouTube-8M, youtube8m std", 6_134_598, 3 * 3_844, 0.25, 0.0093, "record"),
)


@dataclasses.dataclass(frozen=True)
class Costs(Checked):
    """Costs on one worker; see docs/scale.md for how they were measured."""

    decode: Positive = 0.55
    """Core-seconds to decode a clip of ten seconds."""
    network: Positive = 104.0
    """Seconds that the networks take for a clip: VGG-19 on 160 frames and VGGish, on one core; measure it for a GPU."""
    write: Positive = 0.02
    """Seconds that the writing process takes for a clip, with Ray's transport."""
    record: Positive = 0.003
    """Core-seconds to read, average and write the frames of one YouTube-8M video."""
    start: Positive = 60.0
    """Seconds until the workers have started."""
    storage: Positive = 1000.0
    """MB/s that the shared storage delivers to all workers together."""
    link: Positive = 100.0
    """MB/s that it delivers to one worker."""
    parts: bool = False
    """Every worker writes for itself, as with --part; otherwise one process writes for all, as with Ray."""

    def of(self, dataset: Dataset) -> float:
        """Core-seconds of one item."""
        return self.record if dataset.kind == "record" else self.decode + self.network


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The predicted time and traffic for a dataset.

    Attributes:
      hours: of the whole run.
      read_gb, written_gb: storage traffic.
      mb_per_second: of both, on average.
      bottleneck: what bounds the hours first.
    """

    hours: float
    read_gb: float
    written_gb: float
    mb_per_second: float
    bottleneck: str


def predict(dataset: Dataset, workers: int, costs: Costs) -> Prediction:
    """Simulates a run task by task."""
    tasks = min(dataset.tasks, dataset.items)
    each = dataset.items / tasks
    compute = each * costs.of(dataset)
    traffic = each * (dataset.read_mb + dataset.written_mb)
    # Workers that run at the same time share the storage.
    transfer = traffic / min(costs.link, costs.storage / min(workers, tasks))
    # Files are read while earlier ones are processed.
    duration = max(compute, transfer)
    # The cost of a record includes writing it.
    write = each * costs.write if dataset.kind == "clip" else 0
    alone = costs.parts or not write
    free = [costs.start] * workers
    written = costs.start
    for _ in range(tasks):
        ended = heapq.heappop(free) + duration + write * alone
        heapq.heappush(free, ended)
        written = ended if alone else max(written, ended) + write
    end = max(written, *free)
    bounds = {
        "the workers": tasks * compute / workers,
        "the storage": tasks * traffic / costs.storage,
        "a worker's link to the storage": tasks * traffic / costs.link / workers,
        "the one process that writes": 0 if alone else tasks * write,
        "the start": costs.start,
        "too few tasks": duration if tasks < workers else 0,
    }
    read, made = (dataset.items * size / 1000 for size in (dataset.read_mb, dataset.written_mb))
    return Prediction(end / 3600, read, made, 1000 * (read + made) / end, max(bounds, key=bounds.get))


def table(costs: Costs) -> str:
    """All datasets on all numbers of workers, as Markdown."""
    lines = ["| | workers | hours | read, GB | written, GB | MB/s | first bottleneck |"]
    lines.append("|---|--:|--:|--:|--:|--:|---|")
    for dataset in DATASETS:
        for workers in WORKERS:
            found = predict(dataset, workers, costs)
            numbers = (f"{found.hours:,.2f}", f"{found.read_gb:,.0f}", f"{found.written_gb:,.0f}")
            row = (dataset.name, str(workers), *numbers, f"{found.mb_per_second:,.0f}", found.bottleneck)
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main(costs: Costs) -> None:
    """Predicts hours and storage traffic of four datasets on 1, 8, 64 and 512 workers."""
    print(table(costs))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks.scale"))
