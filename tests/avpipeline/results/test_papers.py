"""The papers' figures and the tables that show ours beside them."""

import pytest

from avpipeline.errors import InputError
from avpipeline.results.papers import Measured, comparison, lookup, rows


def test_lookup_gives_the_printed_value_with_its_dataset_and_metric():
    figure = lookup("ave", "Table 1", "A+V-att")
    assert (figure.value, figure.dataset, figure.metric) == ("72.7", "AVE", "segment accuracy %")


def test_values_with_several_numbers_stay_text():
    assert lookup("attendfusion", "Table 1", "FC Audio").value == "50.32 / 49.09 / 103"


def test_rows_keep_the_papers_order():
    assert [figure.row for figure in rows("ave", "Table 1")][:5] == ["A", "V", "V-att", "A+V", "A+V-att"]
    assert {figure.table for figure in rows("ave")} >= {"Table 1", "Table 2", "Table 3", "Section 6.3"}


def test_a_row_with_several_datasets_needs_one_named():
    assert lookup("mafnet", "Table 1", "MAFnet", "UCF51").value == "86.72"
    with pytest.raises(InputError, match="AVE, UCF51, Kinetics-Sounds"):
        lookup("mafnet", "Table 1", "MAFnet")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "Table 1", "A"), "papers are ave, mafnet"),
        (("ave", "Table 9", "A"), "its tables are Table 1, Section 6.3"),
        (("ave", "Table 1", "B"), "its rows are A, V, V-att"),
        (("ave", "Table 1", "A", "UCF51"), "only AVE"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(arguments, said):
    with pytest.raises(InputError, match=said):
        lookup(*arguments)


def test_comparison_names_both_datas_and_counts_seeds():
    text = comparison(
        [
            (lookup("ave", "Table 1", "A+V-att"), Measured((70.0, 72.0, 74.0), "rendered test bed")),
            (lookup("mafnet", "Table 1", "MAFnet", "AVE"), Measured((90.0,), "AVE, test split")),
            (lookup("ave", "Table 1", "W-A"), "not run: needs the authors' features"),
        ]
    )
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines()]
    assert cells[0] == ["row", "metric", "paper", "paper's data", "ours", "our data"]
    assert set("".join(cells[1])) == {"-"}
    assert cells[2:] == [
        ["A+V-att", "segment accuracy %", "72.7", "AVE", "72.0 +- 2.0 (3 seeds)", "rendered test bed"],
        ["MAFnet", "video accuracy %", "90.86", "AVE", "90.00 (1 seed)", "AVE, test split"],
        ["W-A", "segment accuracy %", "53.4", "AVE", "not run: needs the authors' features", ""],
    ]
    assert len({len(line) for line in text.splitlines()}) == 1


@pytest.mark.parametrize(("values", "data"), [((), "AVE"), ((1.0,), "")])
def test_a_measurement_without_values_or_data_is_refused(values, data):
    with pytest.raises(ValueError, match="at least one value and the name of its data"):
        Measured(values, data)
