"""Checks of shards in YouTube-8M's format: all files and records are inspected, faults are named."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.checks.findings import Finding, missing, note, ok, wrong
from avpipeline.datasets.checks.lists import require_folder
from avpipeline.errors import InputError

# Faulty records of a group of files that are listed one by one.
_TOLD = 3


def check_youtube8m(folder, values: bool = True) -> Iterator[Finding]:
    """Checks a folder with the files of all splits; `values` reads every record, otherwise they are counted.

    Raises:
      InputError: the folder does not exist, or holds none of these files.
    """
    from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, split_files, vocabulary_entries
    from avpipeline.datasets.youtube8m.writing import read_description

    folder = Path(folder)
    splits = split_files(folder)
    shards = [str(Path(path).relative_to(folder)) for paths in splits.values() for path in paths]
    require_folder(folder, [VOCABULARY_FILE, *(shards or ["train*.tfrecord"])], "YouTube-8M's")
    num_classes = None
    try:
        numbers = vocabulary_entries(folder / VOCABULARY_FILE)
        num_classes = len(numbers) if set(numbers) == set(range(len(numbers))) else None
        gaps = "" if num_classes else f" of numbers up to {max(numbers, default=0)}, not all numbers are there"
        yield ok(VOCABULARY_FILE, f"{len(numbers)} classes{gaps}")
    except InputError as error:
        absent = not (folder / VOCABULARY_FILE).exists()
        yield missing(VOCABULARY_FILE, "names of the classes") if absent else wrong(VOCABULARY_FILE, str(error))
    try:
        description = read_description(folder)
        yield ok("features", ", ".join(f"{name} {info.label}" for name, info in description.features.items()))
    except InputError as error:
        yield wrong("features", str(error))
    for split, use in (("train", "training"), ("val", "choosing weights and thresholds"), ("test", "the result")):
        if split in splits:
            yield from check_shards(split, splits[split], num_classes=num_classes, values=values)
        else:
            yield missing(split, use)


def check_shards(
    about: str,
    paths: Sequence[str],
    *,
    num_classes: int | None = None,
    values: bool = True,
    each: Callable[[Callable, Sequence], Iterable] = map,
) -> Iterator[Finding]:
    """Checks the records of a group of files, which must all have the same form.

    Args:
      about: the subject of the findings.
      num_classes: labels must be below it; None accepts any, and the highest is reported.
      values: read every record; False counts them and checks the first.
      each: like `map`: applies the check to each file (`cli.cluster.mapped` on a Ray cluster).
    """
    from avpipeline.datasets.youtube8m.counts import remember
    from avpipeline.datasets.youtube8m.files import count_records, first_record
    from avpipeline.datasets.youtube8m.survey import Survey, expected_like, surveyed

    try:
        expected = expected_like(paths[0], first_record(paths[0]), num_classes)
        survey, counts = Survey(expected), {}
        if not values:
            count = count_records(paths)
            yield ok(about, f"{len(paths)} files, {count} videos; {survey.form()}")
            return
    except InputError as error:
        yield wrong(about, str(error))
        return
    surveys = each(partial(surveyed, expected), list(paths))
    surveys = ProgressBar(surveys, desc="checking", total=len(paths), unit="file", leave=False)
    for path, (found, damage) in zip(paths, surveys, strict=True):
        if not damage:
            counts[path] = found.counts["videos"] + len(found.problems)
        survey.take(path, found)
        if damage:
            yield wrong(about, f"{path}: {damage.text()}; copy this file again, or skip what is damaged.")
    remember(counts)
    for problem in survey.problems[:_TOLD]:
        yield wrong(about, problem)
    if len(survey.problems) > _TOLD:
        yield wrong(about, f"{len(survey.problems) - _TOLD} more videos that cannot be used")
    for modality, videos in survey.without().items():
        yield note(about, f"{videos} videos without {modality}; as it is an error, or zeros (missing 'zeros')")
    if survey.counts["unlabelled"]:
        yield note(about, f"{survey.counts['unlabelled']} videos without labels")
    if survey.counts["videos"]:
        yield ok(about, f"{len(paths)} files, {survey.text()}")
