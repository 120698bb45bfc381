"""Three hundred clips are extracted in memory that does not grow: `pytest -m robustness -s` prints the slope."""

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests.helpers.media_files import constant, tone, write_media

CLIPS = 300
# A clip of 10 s holds 0.6 MB of sound, 6 MB of frames and 40 kB of features; one kept would be seen.
MOST_GROWTH = 60_000


@pytest.mark.robustness
def test_the_memory_of_extraction_does_not_grow(tmp_path):
    clip = write_media(
        tmp_path / "clip.mp4", video="libx264", times=constant(40), audio="aac", samples=tone(4, 16000), rate=16000
    )
    (tmp_path / "clips").mkdir()
    for number in range(CLIPS):
        os.link(clip, tmp_path / "clips" / f"clip{number:03}.mp4")
    words = ["clips", "out", "--features", "small_visual,small_audio", "--shard-size", "20"]
    with (tmp_path / "log.txt").open("w") as log:
        command = subprocess.Popen(
            [sys.executable, "-m", "avpipeline.extract", *words], cwd=tmp_path, stdout=log, stderr=log
        )
        samples = _sampled(command, tmp_path / "out")
    assert command.returncode == 0, (tmp_path / "log.txt").read_text()[-500:]
    shards, memory = np.array([sample for sample in samples if sample[0] >= CLIPS // 20 // 3]).T
    slope = float(np.polyfit(20 * shards, memory, 1)[0])
    print(f"\n{CLIPS} clips: {memory.max() / 1e6:.0f} MB at most; {slope / 1000:+.1f} kB a clip")
    assert len(np.unique(shards)) >= 8
    assert slope < MOST_GROWTH


def _sampled(command: subprocess.Popen, out) -> list[tuple[int, int]]:
    """(Shards written, bytes of the command and its children), several times a second until it ends."""
    samples = []
    process = psutil.Process(command.pid)
    while command.poll() is None:
        try:
            memory = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
        except psutil.Error:
            continue
        samples.append((len(list(out.glob("shard-*.h5"))), memory))
        time.sleep(0.2)
    return samples
