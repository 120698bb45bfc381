"""Progress: a bar in a terminal, a line for each tenth elsewhere; paths that can be clicked."""

import io
import sys
import time

import pytest

from avpipeline.cli.progress import ProgressBar, link


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps(count: int, stream, monkeypatch, **settings) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in ProgressBar(range(count), desc="training", unit="epoch", delay=0, file=stream, **settings):
        pass
    return stream.getvalue()


@pytest.mark.parametrize(("count", "lines"), [(4, 4), (10, 10), (2500, 10)])
def test_a_file_gets_a_line_for_each_tenth(count, lines, monkeypatch):
    said = steps(count, io.StringIO(), monkeypatch)
    assert "\r" not in said and said.count("\n") == len(said.splitlines()) == lines
    assert said.splitlines()[-1].startswith(f"training: {count} of {count} epochs, took ")
    assert " left" in said.splitlines()[0] and len(max(said.splitlines())) < 80


def test_a_resumed_step_counts_what_is_there(monkeypatch):
    said = steps(5, io.StringIO(), monkeypatch, initial=15, total=20).splitlines()
    assert [line.split(",")[0] for line in said] == [f"training: {n} of 20 epochs" for n in (16, 18, 20)]


def test_a_terminal_gets_one_bar(monkeypatch):
    said = steps(3, Terminal(), monkeypatch)
    assert "\r" in said and "3/3" in said and said.count("\n") == 1


def test_a_short_step_says_nothing(monkeypatch):
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        list(ProgressBar(range(20), desc="training", file=stream))
        assert "training" not in stream.getvalue()


def test_a_terminal_shows_a_step_whose_first_part_takes_long(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar(total=1, desc="predicting", unit="window", leave=False, delay=0.01) as progress:
        time.sleep(0.5)
        assert "predicting:   0%" in stream.getvalue() and "0/1" in stream.getvalue()
        progress.update()
    # Nothing is left of it.
    assert not stream.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip() and "\n" not in stream.getvalue()


def test_nothing_is_left_of_a_part_that_is_done(monkeypatch):
    said = steps(4, io.StringIO(), monkeypatch, leave=False)
    assert [line.split(",")[0] for line in said.splitlines()] == [f"training: {n} of 4 epochs" for n in (1, 2, 3)]


def test_a_part_of_another_step_writes_lines_only_where_it_takes_long(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar(total=2, delay=0):
        for _ in ProgressBar(range(20), desc="part", delay=0):
            pass
        assert "part" not in stream.getvalue()
        with ProgressBar(total=20, desc="part", delay=0) as part:
            part.start_t -= 31
            part.update(2)
        assert stream.getvalue().startswith("part: 2 of 20 its, ")
    assert not ProgressBar(total=2).pos


def test_a_text_is_there_at_once(monkeypatch):
    class Buffered(io.StringIO):
        seen = ""

        def flush(self):
            self.seen = self.getvalue()

    monkeypatch.setattr(sys, "stdout", Buffered())
    ProgressBar.write("the text")
    assert sys.stdout.seen == "the text\n"


def test_a_path_is_a_link_in_a_terminal_alone(monkeypatch, tmp_path):
    assert link(tmp_path / "a b") == f"{tmp_path}/a b"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert link(tmp_path / "a b") == f"\033]8;;file://{tmp_path}/a%20b\033\\{tmp_path}/a b\033]8;;\033\\"
