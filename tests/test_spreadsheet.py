import io
import os

import pandas as pd
import pytest

from evacli import spreadsheet
from evacli.run import tables


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


TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("character", [*TURNING, "\u2028", "\u2029", "\x1b", "\x9b", "\x7f"])
def test_what_a_terminal_or_a_reader_would_be_misled_by_is_spelled_out(character):
    text = spreadsheet.to_csv(("a",), [(f"cat{character}dog",)])
    assert character not in text
    assert pd.read_csv(io.StringIO(text)).a[0] == f"cat{character}dog".encode("unicode_escape").decode()


def test_other_scripts_stay_as_they_are():
    assert spreadsheet.harmless("猫 قط 🐈 é") == "猫 قط 🐈 é"


def test_a_table_is_read_as_pandas_reads_it_and_a_pipe_is_refused(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes('index,file\n3,"a\nb"\n4,"c\r\nd"\n5,line\u2028line\x0b\n'.encode())
    expected = pd.read_csv(file, dtype=str, keep_default_na=False)
    assert tables.read(file) == expected.to_dict("records")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="it is not a file"):
        tables.read(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="it is larger than"):
        tables.read(file, most=10)
