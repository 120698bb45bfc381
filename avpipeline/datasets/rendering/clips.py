"""Renders a folder of clips with annotations, in several processes, each clip whole or not at all.

One process is `python -m avpipeline.datasets.rendering.clips FOLDER PART PARTS`, started by `render_folder`.
"""

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.rendering.frames import FRAME_RATE, render_frames
from avpipeline.datasets.rendering.sounds import render_waveform
from avpipeline.datasets.rendering.storyboards import (
    CATEGORIES,
    GENERATOR_VERSION,
    SPLITS,
    RenderedSettings,
    Storyboard,
    storyboards,
)
from avpipeline.errors import InputError
from avpipeline.files import locked, remove_partial, write_text
from avpipeline.media import SAMPLE_RATE, write_clip

PROCESSES = 2
# In the metadata of every clip, by which a copy of it is known again.
MARK = "synthetic clip of audio-visual-fusion"
_SETTINGS = "settings.json"
# What a rendering process prints after each clip, before the clip's id.
_DONE = "rendered "


def identity(settings: RenderedSettings) -> dict:
    """Everything that determines the clips."""
    return {"generator": GENERATOR_VERSION, **dataclasses.asdict(settings)}


def clip_path(folder, board: Storyboard) -> Path:
    return Path(folder) / "clips" / f"{board.id}.mp4"


def render_folder(folder, settings: RenderedSettings) -> None:
    """Renders all clips of `settings` and their annotations into `folder`; clips already there are kept.

    Safe against a kill (a clip gets its name once it is complete) and against other processes that do the same (they
    wait, then find everything there). Files: `clips/<id>.mp4`; `Annotations.txt`, `trainSet.txt`, `valSet.txt`,
    `testSet.txt` in AVE's format; `storyboards.json` with all details; `settings.json`.

    Raises:
      InputError: the folder holds clips of other settings, or cannot be written.
    """
    folder = Path(folder)
    boards = _all_boards(settings)

    def missing() -> int:
        return sum(not clip_path(folder, board).exists() for board in boards)

    if _stored_identity(folder) == identity(settings) and not missing():
        return
    with locked(folder):
        stored = _stored_identity(folder)
        if stored is None:
            write_text(folder / _SETTINGS, json.dumps(identity(settings), indent=1))
        elif stored != identity(settings):
            raise InputError(f"{folder}: holds clips rendered with other settings; choose another folder.")
        _annotate(folder, boards)
        remove_partial(folder)
        # Another process may have rendered them while this one waited.
        if left := missing():
            with ProgressBar(total=left, desc="rendering clips", unit="clip") as progress:
                _render_in_processes(folder, progress.update)


def _render_part(folder: str, part: int, parts: int) -> None:
    """Renders one process's share: every `parts`-th clip of the folder, from number `part`, unless it is there."""
    fields = _stored_identity(folder)
    fields.pop("generator")
    for board in _all_boards(RenderedSettings(**fields))[part::parts]:
        path = clip_path(folder, board)
        if not path.exists():
            frames, waveform = render_frames(board), render_waveform(board)
            write_clip(path, frames, waveform, frame_rate=FRAME_RATE, sample_rate=SAMPLE_RATE, comment=MARK)
            print(f"{_DONE}{board.id}", flush=True)


def _all_boards(settings: RenderedSettings) -> list[Storyboard]:
    return [board for split in SPLITS for board in storyboards(settings, split)]


def _stored_identity(folder) -> dict | None:
    try:
        return json.loads((Path(folder) / _SETTINGS).read_text())
    except FileNotFoundError:
        return None


def _annotate(folder: Path, boards: list[Storyboard]) -> None:
    """Writes the annotations, sorted by class like AVE's: readers number the classes by first appearance."""
    rows = [
        (event.category, f"{CATEGORIES[event.category]}&{board.id}&good&{event.start}&{event.end}\n", board.split)
        for board in boards
        for event in board.events
    ]
    write_text(folder / "Annotations.txt", "".join(row for _, row, _ in sorted(rows, key=lambda item: item[0])))
    for split in SPLITS:
        write_text(folder / f"{split}Set.txt", "".join(row for _, row, own in rows if own == split))
    write_text(folder / "storyboards.json", json.dumps([board.to_json() for board in boards], indent=1))


def _render_in_processes(folder: Path, progress: Callable[[], object]) -> None:
    workers = [_start_worker(folder, part) for part in range(PROCESSES)]
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        try:
            for following in concurrent.futures.as_completed([pool.submit(_follow, w, progress) for w in workers]):
                following.result()
        finally:
            # Ends those still running if another fails or the user interrupts.
            for worker in workers:
                worker.terminate()


def _start_worker(folder: Path, part: int) -> subprocess.Popen:
    """Starts one rendering process.

    It is a program of its own: a `multiprocessing` child would import the main script again, with TensorFlow.
    """
    search = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]
    return subprocess.Popen(
        [sys.executable, "-m", "avpipeline.datasets.rendering.clips", str(folder), str(part), str(PROCESSES)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))},
    )


def _follow(worker: subprocess.Popen, progress: Callable[[], object]) -> None:
    """Counts the clips that a process reports until it ends; raises an error if it failed."""
    said = []
    for line in worker.stdout:
        if line.startswith(_DONE):
            progress()
        else:
            said.append(line)
    status = worker.wait()
    if status == InputError.exit_status:
        raise InputError(said[-1].strip())
    if status:
        raise RuntimeError(f"a rendering process ended with status {status}: {''.join(said)}")


if __name__ == "__main__":
    try:
        _render_part(sys.argv[1], part=int(sys.argv[2]), parts=int(sys.argv[3]))
    except InputError as error:
        print(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        # Ctrl-C reaches all processes of a terminal; the one that started this reports it.
        sys.exit(130)
