"""Attempts: honest input damaged by a seeded choice, read in a process with limits, and what came of it.

The worker (`python -m tests.robustness.attempts SEED FIRST COUNT`) prints a line for each attempt before and after it,
so that whoever started it knows which one ended or stopped it.
"""

import dataclasses
import json
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path

OUTCOMES = ("answered", "refused", "traceback", "hang", "memory", "executed", "silently wrong")
GOOD = ("answered", "refused")
SECONDS = 60
MEMORY = 2 << 30
# Stands in every damaged pickle that runs; only an executed file makes it.
MARK = "it-ran"

_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1)
_TEXTS = (b"1e999", b"-1", b"NaN", b"null", b'""', b"[]", b"[" * 100_000, b"{}", b"\xff\xfe", b"9" * 400, b"true")


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One damaged input."""

    door: str
    damage: str
    outcome: str
    told: str = ""


def _flip(rng, content: bytearray) -> None:
    for _ in range(rng.randrange(1, 4)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(rng, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _number(rng, content: bytearray) -> None:
    """A declared size becomes another."""
    size = rng.choice((1, 2, 4, 8))
    place = rng.randrange(max(1, len(content) - size))
    value = rng.choice(_NUMBERS) & (1 << 8 * size) - 1
    content[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _header(rng, content: bytearray) -> None:
    """As `_number`, where headers are."""
    size, place = rng.choice((1, 2, 4, 8)), rng.randrange(min(96, len(content)))
    value = rng.choice(_NUMBERS) & (1 << 8 * size) - 1
    content[place : place + size] = value.to_bytes(size, "little")


def _text(rng, content: bytearray) -> None:
    """A word or number of a text becomes another."""
    words = [match.span() for match in re.finditer(rb'[\w.\-"]+', bytes(content[: 1 << 16]))]
    start, end = rng.choice(words) if words else (0, 0)
    content[start:end] = rng.choice(_TEXTS)


def _repeat(rng, content: bytearray) -> None:
    start = rng.randrange(len(content))
    part = content[start : start + rng.randrange(1, 64)]
    content[start:start] = part * rng.choice((1, 2, 1000))


def _attack(rng, content: bytearray) -> None:
    """A pickle that makes a folder, put somewhere."""
    call = b"cos\nmkdir\n(X" + struct.pack("<I", len(MARK)) + MARK.encode() + b"tR."
    place = rng.choice((0, rng.randrange(len(content))))
    content[place:place] = b"\x80\x02" + call


DAMAGES = {
    "flipped bits": _flip,
    "cut": _cut,
    "a number": _number,
    "a header": _header,
    "a word": _text,
    "repeated": _repeat,
    "a pickle that runs": _attack,
}


def _member(rng, path: Path) -> None:
    """A member of a zip archive becomes another: text as above, or a bomb."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    if rng.random() < 0.2:
        members[name] = b" " * (64 << 20)
    else:
        content = bytearray(members[name])
        rng.choice((_flip, _number, _text, _repeat))(rng, content)
        members[name] = bytes(content)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in members.items():
            archive.writestr(each, content)


def damage(rng: random.Random, path: Path) -> str:
    """Damages a file in place; returns how."""
    if rng.random() < 0.03:
        path.unlink()
        os.mkfifo(path)
        return "a pipe"
    if zipfile.is_zipfile(path) and rng.random() < 0.5:
        _member(rng, path)
        return "a member"
    kind = rng.choice(list(DAMAGES))
    content = bytearray(path.read_bytes())
    DAMAGES[kind](rng, content)
    path.write_bytes(content)
    return kind


def _same(one, other) -> bool:
    import numpy as np

    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return one == other


def _outcome(door, path: Path, honest: object, is_checked: bool) -> tuple[str, str]:
    from avpipeline.cli import sentence_of
    from avpipeline.errors import InputError

    try:
        read = door.read(path)
    except InputError as error:
        told = str(error)
        is_sentence = told.endswith(".") and "\n" not in told
        return ("refused" if is_sentence else "traceback"), told
    except MemoryError:
        return "memory", traceback.format_exc()
    except Exception as error:
        told = sentence_of(error)
        return ("refused", told) if told else ("traceback", traceback.format_exc())
    if Path(MARK).exists():
        return "executed", ""
    return ("silently wrong" if is_checked and not _same(read, honest) else "answered"), ""


def worker(seed: int, first: int, count: int) -> None:
    """Makes `count` attempts from number `first` on, in a folder of its own."""
    import avpipeline  # noqa: F401  first: it quiets TensorFlow's start
    from tests.robustness.doors import DOORS

    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    honest = {}
    for number in range(first, first + count):
        rng = random.Random(f"{seed} {number}")
        door = DOORS[number % len(DOORS)]
        place = folder / str(number)
        place.mkdir()
        path = door.write(place)
        if door.name not in honest:
            honest[door.name] = door.read(path)
        kind = damage(rng, path)
        print(json.dumps({"number": number, "door": door.name, "damage": kind}), flush=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome, told = _outcome(door, path, honest[door.name], door.is_checked and kind != "a member")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if outcome in GOOD and grown > MEMORY:
            outcome = "memory"
        print(json.dumps({"number": number, "outcome": outcome, "told": told[-2000:]}), flush=True)


def attempts(seed: int, count: int, seconds: float = SECONDS) -> list[Attempt]:
    """All attempts; a worker that dies or stands still is replaced, and goes on after the one that did it."""
    found, number = [], 0
    while number < count:
        command = [sys.executable, "-m", "tests.robustness.attempts", str(seed), str(number), str(count - number)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT)
        begun: dict = {}
        for line in _lines(process, seconds):
            told = json.loads(line)
            if "door" in told:
                begun = told
            else:
                found.append(Attempt(begun["door"], begun["damage"], told["outcome"], told["told"]))
                number, begun = told["number"] + 1, {}
        status = process.wait()
        if status == 0:
            break
        if not begun:
            raise RuntimeError(f"the worker ended with status {status} before attempt {number}")
        outcome = "hang" if status == -9 else "traceback"
        found.append(Attempt(begun["door"], begun["damage"], outcome, f"attempt {begun['number']}: status {status}"))
        number = begun["number"] + 1
    return found


_ROOT = Path(__file__).parents[2]


def _lines(process: subprocess.Popen, seconds: float):
    """The lines that a process prints; it is killed where none comes for so long."""
    import threading

    last = [time.monotonic() + 4 * seconds]  # importing TensorFlow comes first

    def watch():
        while process.poll() is None:
            if time.monotonic() > last[0]:
                process.kill()
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True).start()
    for line in process.stdout:
        last[0] = time.monotonic() + seconds
        yield line


def table(found: list[Attempt]) -> str:
    """Doors by outcomes, as text."""
    counts = Counter((attempt.door, attempt.outcome) for attempt in found)
    doors = list(dict.fromkeys(attempt.door for attempt in found))
    lines = [f"{'':<18}" + "".join(f"{outcome:>15}" for outcome in OUTCOMES)]
    for door in doors:
        lines.append(f"{door:<18}" + "".join(f"{counts[door, outcome]:>15}" for outcome in OUTCOMES))
    sums = [sum(counts[door, outcome] for door in doors) for outcome in OUTCOMES]
    return "\n".join([*lines, f"{f'all {len(found)}':<18}" + "".join(f"{each:>15}" for each in sums)])


if __name__ == "__main__":
    worker(*map(int, sys.argv[1:]))
