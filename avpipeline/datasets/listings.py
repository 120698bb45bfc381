"""Official lists in text files: lines and tables; a malformed line is an error that names its number."""

import csv
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import read_bytes, reading

GUIDE = "docs/datasets.md says where it comes from"
_NAMED = 5
# Bytes of a list; that of VGGSound, the longest, has 7 MB.
_MOST_LIST = 1 << 27
_MOST_DIGITS = 9


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a list.

    Attributes:
      path: of the list.
      line: its number, from 1, a heading counted.
      fields: column -> text, without surrounding spaces.
    """

    path: Path
    line: int
    fields: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def error(self, problem: str) -> InputError:
        """The error for a line that cannot be used."""
        return InputError(f"{self.path}: line {self.line} {problem}; correct it or download the file again.")

    def number(self, column: str) -> float:
        """A column as a number from 0 to below 10**9; InputError if it is not one."""
        text = self[column]
        if not text.replace(".", "", 1).isdecimal() or len(text.partition(".")[0]) > _MOST_DIGITS:
            least = f"must be a number from 0 to below 10**{_MOST_DIGITS}"
            raise self.error(f"has {text[:20]!r} as {column}, which {least}")
        return float(text)


def read_lines(path) -> list[str]:
    """The lines of a text file, without line endings and trailing empty lines.

    Raises:
      InputError: the file does not exist, is not text, or is empty.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; {GUIDE}.")
    with reading(path, "cannot be read as UTF-8 text", "download it again"):
        lines = read_bytes(path, _MOST_LIST).decode("utf-8-sig").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path}: is empty; download it again.")
    return lines


def read_names(path, count: int) -> tuple[str, ...]:
    """A list of class names in label order, one a line; InputError unless there are `count` distinct ones."""
    names = tuple(line.strip() for line in read_lines(path))
    for line, name in enumerate(names, 1):
        if not name or name in names[: line - 1]:
            problem = f"repeats '{name}'" if name else "is empty"
            raise InputError(f"{path}: line {line} {problem}; write one class name a line, each once.")
    if len(names) != count:
        raise InputError(f"{path}: has {len(names)} class names instead of {count}; download it again.")
    return names


def read_table(path, columns: Sequence[str], *, heading: bool, delimiter: str = ",") -> list[Row]:
    """The rows of a CSV or tab-separated file, which may have quotes, any line endings and a byte order mark.

    Args:
      columns: names of the columns. A heading must contain them, in any order, and may contain others, which are read
        too. Without a heading, each row has exactly these.
      heading: whether the first line names the columns.

    Raises:
      InputError: as `read_lines`; a column is missing, a row has a different number of fields or an empty field in one
        of `columns`, quotes are not closed.
    """
    path = Path(path)
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    names, rows = tuple(columns), []
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if heading and reader.line_num == 1:
                names = _heading(path, fields, columns, delimiter)
                continue
            if len(fields) != len(names):
                problem = f"has {len(fields)} fields instead of {len(names)} ({', '.join(names)})"
                raise Row(path, reader.line_num, {}).error(problem)
            row = Row(path, reader.line_num, dict(zip(names, fields, strict=True)))
            for column in columns:
                if not row[column]:
                    raise row.error(f"has no {column}")
            rows.append(row)
    except csv.Error as error:
        raise Row(path, reader.line_num, {}).error(f"cannot be understood ({error})") from error
    if not rows:
        raise InputError(f"{path}: has a heading and no rows; download it again.")
    return rows


def _heading(path: Path, fields: Sequence[str], columns: Sequence[str], delimiter: str) -> tuple[str, ...]:
    missing = [column for column in columns if column not in fields]
    if missing or len(set(fields)) != len(fields):
        between = "tabs" if delimiter == "\t" else "commas"
        raise InputError(
            f"{path}: line 1 must name the columns {', '.join(columns)}, separated by {between}, each once, and "
            f"reads {delimiter.join(fields)!r}; correct it or download the file again."
        )
    return tuple(fields)


def require_unique(rows: Iterable[Row], name_of: Callable[[Row], str]) -> None:
    """Raises InputError if two rows name the same video."""
    seen: dict[str, Row] = {}
    for row in rows:
        name = name_of(row)
        other = seen.setdefault(name, row)
        if other is not row:
            where = f"line {other.line}" if other.path == row.path else f"{other.path.name}, line {other.line}"
            raise row.error(f"lists '{name}' again (first in {where})")


def class_number(row: Row, name: str, numbers: Mapping[str, int], of: str) -> int:
    """The label of a class name; InputError if it is not in `numbers`, the classes `of` a dataset or file."""
    if name not in numbers:
        raise row.error(f"has the class '{name}', which is not among the {len(numbers)} of {of}")
    return numbers[name]


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Class name -> label, in the order given."""
    return {name: number for number, name in enumerate(names)}


def some(items: Sequence) -> str:
    """The first few of `items`, as text."""
    return ", ".join(str(item) for item in items[:_NAMED]) + (", ..." if len(items) > _NAMED else "")
