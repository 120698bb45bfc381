"""Fixtures shared by all tests: the reference files, which golden arrays were compared, a small dataset."""

import gc
import json
import os
from pathlib import Path

# As many processes as cores: with one thread each they do not wait for one another. Before TensorFlow starts.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)) >= (os.cpu_count() or 1):
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import avpipeline  # noqa: F401  first: it quiets TensorFlow's start

# isort: split
import numpy as np
import pytest

REFERENCE_VARIABLE = "AV_REFERENCE_DIR"
# Golden file -> whose implementation it was recorded from. Every array of these must have been compared in a full run.
COVERED = {
    "ave_batch.npz": "",
    "av_att.npz": "ave: A+V-att",
    "av_att_weak.npz": "ave: W-A+V-att",
    "dmrn.npz": "ave: DMRN",
    "avdln.npz": "ave: AVDLN",
    "mafnet.npz": "mafnet: MAFnet",
    "jca.npz": "jca: JCA",
    "mc3_18.npz": "eventlayers: MC3-18 (torchvision)",
    "vggish_logmel.npz": "all: VGGish's log-mel",
    "youtube8m_metrics.npz": "attendfusion: the challenge's metrics",
}

_compared: dict[str, set[str]] = {}
_differences: dict[str, dict] = {}
_skipped: list[str] = []
_left_out: list[str] = []
_collected: set[Path] = set()


def reference_folder() -> Path | None:
    value = os.environ.get(REFERENCE_VARIABLE)
    return Path(value).resolve() if value else None


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with golden/, data/ and media/; skips where it is not set."""
    folder = reference_folder()
    if folder is None:
        pytest.skip(f"{REFERENCE_VARIABLE} is not set: it names the folder with golden/, data/ and media/")
    if not folder.is_dir():
        pytest.fail(f"{REFERENCE_VARIABLE}={folder} is not a folder")
    return folder


class Golden:
    """The golden files; remembers every array that a test took to compare with.

    `golden["av_att.npz", "attention"]` gives an array and counts it as compared;
    `golden.compare("av_att.npz", "attention", ours, 1e-5)` compares with it and keeps the difference for --parity;
    `golden.path("av_att.pt")` gives a file's path.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def __getitem__(self, key: tuple[str, str]) -> np.ndarray:
        name, array = key
        with np.load(self.folder / name) as file:
            value = file[array]
        _compared.setdefault(name, set()).add(array)
        return value

    def compare(self, name: str, array: str, ours, allowed: float, *, unit: str = "largest") -> None:
        """Fails unless `ours` is within `allowed` of an array.

        Differences count in units of max(1, largest value), of "each" value, or of "one".
        """
        theirs = self[name, array]
        ours = np.asarray(ours)
        assert ours.shape == theirs.shape, f"{name} {array}: {ours.shape}, recorded {theirs.shape}"
        units = {"largest": max(1.0, np.abs(theirs).max()), "each": np.abs(theirs), "one": 1.0}[unit]
        difference = float((np.abs(ours - theirs) / units).max())
        assert difference <= allowed, f"{name} {array}: differs by {difference:.2e}, allowed {allowed:.0e}"
        measured = {"difference": difference, "allowed": allowed, "system": COVERED.get(name, "")}
        _keep_difference(f"{name} {array}", measured)


def _keep_difference(key: str, measured: dict) -> None:
    """The largest of those measured for one array."""
    earlier = _differences.get(key)
    if earlier is None or measured["difference"] > earlier["difference"]:
        _differences[key] = measured


@pytest.fixture(scope="session")
def golden(reference_dir) -> Golden:
    return Golden(reference_dir / "golden")


@pytest.fixture(scope="module")
def few_clips():
    """The synthetic dataset with 10/4/4 clips."""
    # Here, since it starts TensorFlow, which the process that hands out the tests does without.
    from tests.helpers.few_clips import rendered_defaults

    with rendered_defaults(train=10, val=4, test=4):
        yield


@pytest.fixture(scope="module")
def unseen():
    """Splits of the synthetic dataset whose test clips come from a generator seed that nothing is trained on."""
    from tests.helpers.rendered_training import unseen_splits

    return unseen_splits()


def pytest_addoption(parser):
    parser.addoption(
        "--parity", type=Path, help="write the largest difference to each golden array to this JSON file"
    )


def pytest_make_parametrize_id(config, val, argname):
    """Bytes do not name a test: a serialized record's differ from process to process, all must collect the same."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    _collected.update(item.path for item in items if item.get_closest_marker("golden"))


def pytest_collection_finish(session):
    # TensorFlow's hundreds of thousands of objects stay to the end: no collection of garbage walks through them again.
    gc.freeze()


def pytest_deselected(items):
    """Slow ones compare no array that others do not."""
    golden = [item for item in items if item.get_closest_marker("golden")]
    _left_out.extend(item.nodeid for item in golden if not item.get_closest_marker("slow"))


def pytest_runtest_logreport(report):
    if report.skipped and "golden" in report.keywords:
        _skipped.append(report.nodeid)


def _golden_problems() -> list[str]:
    """What keeps a full golden run from being a pass: skipped tests, arrays that nothing was compared with."""
    problems = [f"skipped: {test}" for test in _skipped]
    for name in COVERED:
        with np.load(reference_folder() / "golden" / name) as file:
            missing = [array for array in file.files if array not in _compared.get(name, ())]
        problems += [f"not compared: {name} {array}" for array in missing]
    return problems


def _is_full_golden_run() -> bool:
    """Whether every golden test of the suite was to run, with the reference files there."""
    modules = {path for path in Path(__file__).parent.rglob("test_*.py") if "mark.golden" in path.read_text()}
    return reference_folder() is not None and not _left_out and modules <= _collected


def pytest_sessionfinish(session, exitstatus):
    handed_over = getattr(session.config, "workeroutput", None)
    if handed_over is not None:  # one of several processes (pytest-xdist): the first one judges for all
        compared = {name: sorted(arrays) for name, arrays in _compared.items()}
        handed_over["golden"] = (compared, _differences, _left_out, [str(path) for path in _collected])
        return
    if (path := session.config.getoption("parity")) is not None:
        path.write_text(json.dumps(dict(sorted(_differences.items())), indent=2) + "\n")
    if exitstatus == pytest.ExitCode.OK and _is_full_golden_run() and _golden_problems():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Takes over what a worker process compared, collected and left out."""
    compared, differences, left_out, collected = getattr(node, "workeroutput", {}).get("golden", ({}, {}, [], []))
    for key, measured in differences.items():
        _keep_difference(key, measured)
    for name, arrays in compared.items():
        _compared.setdefault(name, set()).update(arrays)
    _left_out.extend(left_out)
    _collected.update(map(Path, collected))


def pytest_terminal_summary(terminalreporter):
    if _compared:
        counts = ", ".join(f"{name} {len(arrays)}" for name, arrays in sorted(_compared.items()))
        terminalreporter.write_line(f"golden arrays compared: {counts}")
    if _is_full_golden_run():
        for problem in _golden_problems():
            terminalreporter.write_line(f"golden {problem}", red=True)
