"""Pictures: their share of the time of a whole training command, `python -m ave.train` on the synthetic clips."""

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

COMMAND = "ave.train"
# What draws and writes: the curves, the example's timeline, its frames with attention, and the video of them.
_DRAWING = {
    "avpipeline.plots.charts": ("curves",),
    "avpipeline.plots": ("timeline", "attention_frames"),
    "avpipeline.plots.overlays": ("write_overlay",),
}


def share(seconds: float) -> dict[str, float]:
    """The command once in a process of its own, with as many epochs as it has; with 1 if `seconds` are below 1."""
    train = importlib.import_module(COMMAND)
    # Clips and features are made once, by whichever command needs them first.
    train.load_splits(train.PAPER.settings_for("av_att", dataset="rendered"))
    with tempfile.TemporaryDirectory() as folder:
        words = ["--dataset", "rendered", "--out", f"{folder}/run", *(["--epochs", "1"] if seconds < 1 else [])]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", __name__, *words], capture_output=True, text=True, check=True)
        whole = time.perf_counter() - started
    columns = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": whole, **columns, "share of pictures": columns["seconds of pictures"] / whole}


def _timed(function: Callable, taken: list[float]) -> Callable:
    def call(*given, **named):
        started = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            taken.append(time.perf_counter() - started)

    return call


def main(words: list[str]) -> None:
    """Runs the command with these words; the last line that it prints is what the pictures took, as JSON."""
    from avpipeline.cli import run

    train, taken = importlib.import_module(COMMAND), []
    for name, functions in _DRAWING.items():
        module = importlib.import_module(name)
        for function in functions:
            setattr(module, function, _timed(getattr(module, function), taken))
    if run(train.main, prog=f"python -m {COMMAND}", argv=words, defaults=train.PAPER.defaults):
        raise SystemExit(1)
    from avfusion_benchmarks.measuring import peak_memory

    print(json.dumps({"seconds of pictures": sum(taken), **peak_memory()}))


if __name__ == "__main__":
    main(sys.argv[1:])
