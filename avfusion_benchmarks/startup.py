"""Start-up: which modules a command imports, and how long it takes before any real work."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

COMMAND = "ave.train"
_COUNTING = (
    "import runpy, sys\n"
    "sys.argv = {argv}\n"
    "try:\n    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    "except SystemExit:\n    pass\n"
    # The peak of this program alone: getrusage also counts the process that started it.
    "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "print(len(sys.modules), int('tensorflow' in sys.modules), peak.split()[1])"
)


def command(seconds: float, *, word: str) -> dict[str, float]:
    """`python -m ave.train WORD`, in turn with `python -c pass`, as processes of their own.

    "times python -c pass" is how many times as long as the bare interpreter the command takes.
    """
    words = [sys.executable, "-m", COMMAND, word]
    bare = [sys.executable, "-c", "pass"]
    times: dict[bool, list[float]] = {True: [], False: []}
    while sum(times[True]) < seconds:
        times[True].append(_duration(words))
        times[False].append(_duration(bare))
    taken, alone = statistics.median(times[True]), statistics.median(times[False])
    modules, tensorflow, kilobytes = _imported(word)
    return {
        "modules imported": modules,
        "with TensorFlow": tensorflow,
        "peak MB": kilobytes * 1024 / 1e6,
        "ms": 1e3 * taken,
        "python -c pass, ms": 1e3 * alone,
        "times python -c pass": taken / alone,
    }


def _duration(words: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def _imported(word: str) -> tuple[int, ...]:
    """How many modules the command imports, whether (1) or not (0) TensorFlow is among them, and its peak memory in kB.
    """
    code = _COUNTING.format(argv=[COMMAND, word], module=COMMAND)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.splitlines()[-1].split()))
