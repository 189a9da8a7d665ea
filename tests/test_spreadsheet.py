import io

import pandas as pd
import pytest

from evacli import spreadsheet


def test_numbers_stay_numbers_and_none_is_empty():
    table = pd.read_csv(io.StringIO(spreadsheet.to_csv(("a", "b", "c"), [(-0.1, None, 1), (1e-300, 2, -1)])))
    assert list(table.a) == [-0.1, 1e-300]
    assert table.b.isna().tolist() == [True, False]
    assert list(table.c) == [1, -1]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\uff1d"])
def test_no_text_and_no_heading_starts_a_formula(start):
    text = spreadsheet.to_csv((f"{start}1+1",), [(f"{start}1+1",)])
    table = pd.read_csv(io.StringIO(text))
    for cell in (table.columns[0], table.iloc[0, 0]):
        assert cell[0] not in "=+-@\t\uff1d"
        assert cell.endswith("1+1")
