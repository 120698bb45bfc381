"""Which rows a tables command measures: the paper's, and models of a user's own file."""

import pytest

from avpipeline.errors import InputError
from avpipeline.results.tables import chosen_rows, once_each

EVENT_DATASETS = ("VGGSound", "Kinetics-400", "Kinetics-Sounds", "AVE")


@pytest.mark.parametrize(
    ("paper", "tables", "places"),
    [
        ("ave", ["Table 2", "Table 1"], [("Table 1", "AVE")]),
        ("ave", ["Table 2"], [("Table 2", "AVE")]),
        # Exact matches of sound and frames, and F1 of several labels, are no scores of such a model.
        ("ave", ["Table 3"], [("Table 1", "AVE")]),
        ("eventlayers", ["Table 2"], [("Table 1", name) for name in EVENT_DATASETS]),
        ("mafnet", ["Table 4"], [("Table 4", "AVE")]),
    ],
)  # fmt: skip
def test_a_model_of_ones_own_is_measured_like_the_papers_main_table(paper, tables, places):
    rows = chosen_rows(paper, tables, ["mine"], ["mine", "other"])
    assert sorted((row.table, row.dataset) for row in rows) == sorted(places)
    assert {(row.row, row.value) for row in rows} == {("mine", "")}
    # Also on one's own clips, where what the paper has on several datasets is measured once.
    assert [once_each(paper)(row) for row in rows] == [[row] for row in rows]


def test_of_several_values_each_is_empty():
    (row,) = chosen_rows("attendfusion", ["Table 1"], ["mine"], ["mine"])
    assert [(part.metric, part.value) for part in row.parts] == [("GAP %", ""), ("F1 %", ""), ("params M", "")]


def test_the_papers_rows_come_first_and_unknown_ones_are_refused():
    rows = chosen_rows("ave", ["Table 1"], ["mine", "A+V", "A"], ["mine"])
    assert [(row.row, row.value) for row in rows] == [("A", "59.5"), ("A+V", "71.4"), ("mine", "")]
    assert "mine" not in {row.row for row in chosen_rows("ave", ["Table 1"], own=["mine"])}
    with pytest.raises(InputError, match="row 'mien': is not in Section 6.3; its rows are ED-TCN, mine."):
        chosen_rows("ave", ["Section 6.3"], ["mien"], ["mine"])
