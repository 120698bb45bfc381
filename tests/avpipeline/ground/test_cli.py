"""How a command line fails: one sentence on stderr and status 2, for whatever the user gave."""

import dataclasses
import errno
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tyro

from avpipeline import __version__
from avpipeline.cli import chosen, run, sentence_of
from avpipeline.errors import InputError
from avpipeline.files import atomic_path


@dataclasses.dataclass
class Settings:
    source: tyro.conf.Positional[str] = "clips"
    """Folder of clips."""
    epochs: int = 3
    """How often the data is seen."""


def failing(error):
    def main(settings: Settings) -> int | None:
        raise error

    return main


def status_and_error(main, capsys, *argv):
    status = run(main, prog="python -m thing", argv=list(argv))
    captured = capsys.readouterr()
    assert captured.out == ""
    return status, captured.err


def test_settings_come_from_the_words_and_the_status_from_main(capsys):
    seen = []

    def main(settings: Settings) -> int | None:
        """Does the thing."""
        seen.append(settings)
        return 3 if settings.epochs == 7 else None

    assert run(main, prog="python -m thing", argv=[]) == 0
    assert run(main, prog="python -m thing", argv=["videos", "--epochs", "7"]) == 3
    assert seen == [Settings(), Settings("videos", 7)]


def test_help_names_the_command_the_flags_and_their_defaults(capsys):
    def main(settings: Settings):
        """Does the thing."""

    with pytest.raises(SystemExit) as stop:
        run(main, prog="python -m thing", argv=["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for words in ("python -m thing", "Does the thing.", "--epochs", "How often the data is seen.", "default: 3"):
        assert words in text
    assert "--version" in text


def test_version(capsys):
    assert run(failing(AssertionError), prog="python -m thing", argv=["--version"]) == 0
    assert capsys.readouterr().out == f"python -m thing {__version__}\n"


@pytest.mark.parametrize("argv", [["--epochs", "many"], ["--unknown", "1"], ["a", "b"]])
def test_wrong_words_end_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run(failing(AssertionError), prog="python -m thing", argv=argv)
    assert stop.value.code == 2


def test_an_empty_value_is_no_path(capsys):
    assert run(failing(AssertionError), prog="python -m thing", argv=["--out", ""]) == 2
    assert capsys.readouterr().err.startswith("python -m thing: error: --out: has an empty value; ")


def test_an_input_error_is_one_line_and_status_2(capsys):
    main = failing(InputError("clip.mp4: is empty (0 bytes); copy it again."))
    expected = "python -m thing: error: clip.mp4: is empty (0 bytes); copy it again.\n"
    assert status_and_error(main, capsys) == (2, expected)


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.txt"), "out/a.txt: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "out/a.txt"), "out/a.txt: cannot be written (permission"),
        (FileNotFoundError(errno.ENOENT, "No such file", "in/a.txt"), "in/a.txt: there is no such file or folder"),
    ],
)
def test_errors_of_the_system_are_one_line_and_status_2(error, words, capsys):
    status, text = status_and_error(failing(error), capsys)
    assert status == 2 and text.startswith(f"python -m thing: error: {words}") and text.count("\n") == 1


def test_a_full_disk_leaves_nothing_half_written(tmp_path, capsys):
    def main(settings: Settings):
        with atomic_path(tmp_path / "result.json") as temporary:
            temporary.write_text("{")
            raise OSError(errno.ENOSPC, "No space left on device")

    status, text = status_and_error(main, capsys)
    assert status == 2 and "result.json: the disk is full" in text and list(tmp_path.iterdir()) == []


def refuse(number):
    raise InputError(f"clip {number}: holds NaN [row 3]; extract it again.")


def in_numpy_function(settings: Settings):
    list(tf.data.Dataset.range(2).map(lambda number: tf.numpy_function(refuse, [number], tf.float32)))


def in_py_function(settings: Settings):
    list(tf.data.Dataset.range(2).map(lambda number: tf.py_function(lambda n: refuse(int(n)), [number], tf.float32)))


def in_generator(settings: Settings):
    def generate():
        yield np.float32(0)
        refuse(0)

    list(tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec((), tf.float32)).prefetch(1))


def in_assertion(settings: Settings):
    def check(number):
        tf.debugging.Assert(False, [tf.strings.join(["InputError: clip 0: holds NaN [row 3]; extract it again."])])
        return number

    list(tf.data.Dataset.range(2).map(check))


@pytest.mark.parametrize("main", [in_numpy_function, in_py_function, in_generator, in_assertion])
def test_an_input_error_inside_tf_data_comes_out_as_its_sentence(main, capsys):
    expected = "python -m thing: error: clip 0: holds NaN [row 3]; extract it again.\n"
    assert status_and_error(main, capsys) == (2, expected)


def test_an_interrupt_says_how_to_go_on(capsys):
    status, text = status_and_error(failing(KeyboardInterrupt()), capsys)
    assert status == 130 and "interrupted" in text and text.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_in_one_line_even_if_the_interpreter_would_hang(tmp_path, number, status):
    script = tmp_path / "thing.py"
    script.write_text(
        "import atexit, dataclasses, time\n"
        "from avpipeline.cli import run\n"
        "@dataclasses.dataclass\n"
        "class Settings:\n"
        "    pass\n"
        "def main(settings: Settings) -> None:\n"
        "    atexit.register(time.sleep, 600)\n"
        "    print('started', flush=True)\n"
        "    time.sleep(600)\n"
        "raise SystemExit(run(main, prog='thing'))\n"
    )
    child = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "started\n"
    child.send_signal(number)
    _, said = child.communicate(timeout=10)
    assert child.returncode == status
    assert said == "thing: error: interrupted; finished work is kept, and the same command resumes from there.\n"


def test_a_mistake_in_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), prog="python -m thing", argv=[])
    assert sentence_of(ValueError("another error")) is None


def test_too_little_memory_is_one_sentence(capsys):
    too_much = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]\nmore")
    for error in (too_much, MemoryError("Unable to allocate 9 GiB")):
        status, said = status_and_error(failing(error), capsys)
        assert status == 2 and said.count("\n") == 1
        assert "the memory does not suffice (" in said and "; choose smaller layers or batches." in said


def test_a_flag_without_its_value_is_left_to_the_whole_parser():
    assert chosen(["--data", "--model", "b"], model="a", data=None) == {"model": "b", "data": None}
    assert chosen(["--model"], model="a") == {"model": "a"}


def test_from_a_shell(tmp_path):
    script = tmp_path / "thing.py"
    script.write_text(
        "import dataclasses\n"
        "from avpipeline.cli import run\n"
        "from avpipeline.media import probe\n"
        "@dataclasses.dataclass\n"
        "class Settings:\n"
        "    source: str = 'missing.mp4'\n"
        "def main(settings: Settings):\n"
        "    probe(settings.source)\n"
        "raise SystemExit(run(main, prog='thing'))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "thing: error: missing.mp4: there is no such file; check the path.\n"
