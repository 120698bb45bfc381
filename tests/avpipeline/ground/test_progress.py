"""Progress: a bar in a terminal, a line for each tenth elsewhere; paths that can be clicked."""

import io
import time

import pytest

from avpipeline.cli.progress import ProgressBar, link
from tests.helpers.environment import Terminal, stream


def steps(count: int, screen: io.StringIO, **settings) -> str:
    with stream("stderr", screen):
        for _ in ProgressBar(range(count), desc="training", unit="epoch", delay=0, file=screen, **settings):
            pass
    return screen.getvalue()


@pytest.mark.parametrize(("count", "lines"), [(4, 4), (10, 10), (2500, 10)])
def test_a_file_gets_a_line_for_each_tenth(count, lines):
    said = steps(count, io.StringIO())
    assert "\r" not in said and said.count("\n") == len(said.splitlines()) == lines
    assert said.splitlines()[-1].startswith(f"training: {count} of {count} epochs, took ")
    assert " left" in said.splitlines()[0] and len(max(said.splitlines())) < 80


def test_a_resumed_step_counts_what_is_there():
    said = steps(5, io.StringIO(), initial=15, total=20).splitlines()
    assert [line.split(",")[0] for line in said] == [f"training: {n} of 20 epochs" for n in (16, 18, 20)]


def test_a_terminal_gets_one_bar():
    said = steps(3, Terminal())
    assert "\r" in said and "3/3" in said and said.count("\n") == 1


def test_a_short_step_says_nothing():
    for screen in (io.StringIO(), Terminal()):
        with stream("stderr", screen):
            list(ProgressBar(range(20), desc="training", file=screen))
        assert "training" not in screen.getvalue()


def test_a_terminal_shows_a_step_whose_first_part_takes_long():
    form = {"desc": "predicting", "unit": "window", "leave": False}
    with stream("stderr", Terminal()) as screen, ProgressBar(total=1, delay=0.01, **form) as progress:
        time.sleep(0.5)
        assert "predicting:   0%" in screen.getvalue() and "0/1" in screen.getvalue()
        progress.update()
    # Nothing is left of it.
    assert not screen.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip() and "\n" not in screen.getvalue()


def test_nothing_is_left_of_a_part_that_is_done():
    said = steps(4, io.StringIO(), leave=False)
    assert [line.split(",")[0] for line in said.splitlines()] == [f"training: {n} of 4 epochs" for n in (1, 2, 3)]


def test_a_part_of_another_step_writes_lines_only_where_it_takes_long():
    with stream("stderr", io.StringIO()) as screen, ProgressBar(total=2, delay=0):
        for _ in ProgressBar(range(20), desc="part", delay=0):
            pass
        assert "part" not in screen.getvalue()
        with ProgressBar(total=20, desc="part", delay=0) as part:
            part.start_t -= 31
            part.update(2)
        assert screen.getvalue().startswith("part: 2 of 20 its, ")
    assert not ProgressBar(total=2).pos


def test_a_text_is_there_at_once():
    class Buffered(io.StringIO):
        seen = ""

        def flush(self):
            self.seen = self.getvalue()

    with stream("stdout", Buffered()) as screen:
        ProgressBar.write("the text")
    assert screen.seen == "the text\n"


def test_a_path_is_a_link_in_a_terminal_alone(tmp_path):
    assert link(tmp_path / "a b") == f"{tmp_path}/a b"
    with stream("stdout", Terminal()):
        assert link(tmp_path / "a b") == f"\033]8;;file://{tmp_path}/a%20b\033\\{tmp_path}/a b\033]8;;\033\\"
