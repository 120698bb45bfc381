"""A folder of results: the small files that the papers' tables commands wrote for rows trained in full.

    results/PAPER/DATASET-PRESET/result.json                         our results and how they were obtained
    results/PAPER/DATASET-PRESET/MODEL/seed-0/predictions.npz        the predictions that they are computed from

Smoke runs are never included. Beside these are real_clips/, results on real recordings, and parity.json, the largest
differences from the authors' implementations, from the golden tests.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import Unusable, atomic_folder, read_bytes, reading
from avpipeline.results import papers

_NEEDED = {
    *papers.IDENTITY,
    *("ours", "our_data", "our_dataset", "seeds", "parameters", "predictions", "smoke"),
    *("model", "preset", "configuration", "command", "date", "commit"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured row in a folder of results.

    Attributes:
      folder: of the result.json that the row is in.
      content: the row's entry there.
    """

    folder: Path
    content: Mapping

    @property
    def predictions(self) -> tuple[Path, ...]:
        """The files that the result is computed from, grouped by seed."""
        return tuple(self.folder / name for name in self.content["predictions"])

    def is_of(self, published: papers.Published) -> bool:
        """Whether this is our counterpart of one of the paper's results."""
        return all(self.content[name] == getattr(published, name) for name in papers.IDENTITY)

    @property
    def is_rendered(self) -> bool:
        """Whether it was measured on the synthetic clips, which stand in for every dataset."""
        return self.content["our_dataset"].startswith("rendered")


def read_result(folder) -> list[Result]:
    """The rows that a tables command measured in a folder.

    Raises:
      InputError: it holds none, or the file is not of this form.
    """
    path = Path(folder) / "result.json"
    with reading(path, "is no result of a tables command", "run one of python -m PAPER.tables"):
        rows = json.loads(read_bytes(path))["rows"]
        if missing := set().union(*(_NEEDED - row.keys() for row in rows)):
            raise Unusable(f"lacks {', '.join(sorted(missing))}; run the tables command again.")
        for row in rows:
            if any(Path(name).is_absolute() or ".." in Path(name).parts for name in row["predictions"]):
                raise Unusable(f"has predictions outside of its folder ({row['row']}); run the command again.")
        return [Result(Path(folder), row) for row in rows]


def read_results(folder) -> list[Result]:
    """Every row in a folder of results, by path."""
    paths = sorted(Path(folder).glob("*/*/result.json"))
    return [result for path in paths for result in read_result(path.parent)]


def add(run, results) -> Path:
    """Copies the rows in a tables command's folder into a folder of results; returns where they are there.

    Rows of smoke runs, of other data than the paper's and of other settings than the preset's are left out.

    Raises:
      InputError: no results, rows of several papers, nothing but rows that are left out, or missing predictions.
    """
    full = [result for result in read_result(run) if not result.content["smoke"]]
    rows = [result for result in full if not result.content.get("unlike")]
    if not full:
        raise InputError(
            f"{run}: has smoke runs only, trained for fewer epochs than configured; run python -m PAPER.tables again "
            "and leave out --epochs."
        )
    if not rows:
        reasons = dict.fromkeys(reason for result in full for reason in result.content["unlike"])
        raise InputError(f"{run}: has no result of a row of the paper ({'; '.join(reasons)}).")
    names, datasets = ({result.content[name] for result in rows} for name in ("paper", "our_dataset"))
    if len(names) > 1:
        raise InputError(f"{run}: holds rows of {', '.join(sorted(names))}; give each paper's tables a folder.")
    for path in (path for result in rows for path in result.predictions):
        if not path.is_file():
            raise InputError(f"{path}: is missing; run the tables command again.")
    place = Path(results) / names.pop() / f"{min(datasets)}-{rows[0].content['preset']}"
    with atomic_folder(place) as temporary:
        content = json.dumps({"rows": [result.content for result in rows]}, indent=2) + "\n"
        (temporary / "result.json").write_text(content, encoding="utf-8")
        for name in {name for result in rows for name in result.content["predictions"]}:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(run) / name, temporary / name)
        # The earlier folder goes only once everything has been copied.
        shutil.rmtree(place, ignore_errors=True)
    return place
