"""The files of a predict command: a bar for what takes long, the text before anything else."""

import time

from avpipeline.predict.files import for_each_file, in_windows
from tests.helpers.environment import Terminal, stream


def test_a_single_window_that_takes_long_has_a_bar():
    with stream("stderr", Terminal()) as screen:
        for window in in_windows((second for second in (7,)), 1):
            time.sleep(1.5)
            assert window == 7 and "predicting:   0%" in screen.getvalue() and "0/1" in screen.getvalue()


def test_short_files_have_none():
    with stream("stderr", Terminal()) as screen:
        assert list(in_windows((second for second in range(40)), 40)) == [*range(40)]
    assert "predicting" not in screen.getvalue()


def test_a_text_is_printed_when_it_is_told(tmp_path, capsys):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"")

    def one(path, tell):
        tell(f"text of {path.name}")
        assert capsys.readouterr().out == f"text of {path.name}\n"

    assert for_each_file([tmp_path], one) == 0
    assert capsys.readouterr().out == ""
