import io
import math
from contextlib import suppress
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.errors import RunError
from evacli.run import history
from evacli.run.history import Row

NUMBERS = st.floats(allow_nan=False, width=32)  # what losses may be
MEASURES = st.floats(0, 1e12)  # what rates and seconds may be
SHARES = st.floats(0, 1)
COUNTS = st.integers(1, 10**6)


def rows(validated: bool) -> st.SearchStrategy[list[Row]]:
    untested = st.nothing() if validated else st.none()
    extra = {"val_loss": NUMBERS, "val_accuracy": SHARES, "batch_size": COUNTS} if validated else {}
    row = st.builds(
        Row,
        epoch=st.integers(1, 10**6),
        lr=MEASURES,
        train_loss=NUMBERS,
        train_accuracy=SHARES,
        test_loss=NUMBERS | untested,
        test_accuracy=SHARES | untested,
        seconds=MEASURES,
        **extra,
    )
    return st.lists(row, min_size=1).map(numbered)


def numbered(rows: list[Row]) -> list[Row]:
    return [msgspec.structs.replace(row, epoch=number) for number, row in enumerate(rows, 1)]


def make(epoch: int, test: float, validation: float | None = None) -> Row:
    return Row(
        epoch=epoch,
        lr=0.1,
        train_loss=1.0,
        train_accuracy=0.5,
        test_loss=2.0,
        test_accuracy=test,
        seconds=1.0,
        val_loss=None if validation is None else 3.0,
        val_accuracy=validation,
    )


@given(rows(validated=False) | rows(validated=True))
def test_every_digit_survives_the_file(tmp_path_factory: pytest.TempPathFactory, written: list[Row]) -> None:
    path = tmp_path_factory.getbasetemp() / "history.csv"
    path.write_text(history.to_csv(written))
    assert history.read_csv(path) == written


@given(rows(validated=True))
def test_pandas_reads_the_same_without_cleaning(written: list[Row]) -> None:
    table = pd.read_csv(io.StringIO(history.to_csv(written)))
    assert tuple(table.columns) == history.COLUMNS
    for name in history.COLUMNS:
        # Its fast parser may miss the last bit.
        assert table[name].tolist() == pytest.approx([getattr(row, name) for row in written], rel=1e-14)


def test_columns_are_those_promised() -> None:
    expected = ["epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
    assert history.to_csv([make(1, 0.5)]).splitlines()[0].split(",") == expected
    assert history.to_csv([make(1, 0.5, 0.6)]).splitlines()[0].split(",") == [*expected, "val_loss", "val_accuracy"]


def test_best_is_the_first_of_the_highest() -> None:
    assert history.best([make(1, 0.5), make(2, 0.7), make(3, 0.7), make(4, 0.6)]).epoch == 2


def test_epochs_that_were_not_tested_are_never_the_best() -> None:
    untested = msgspec.structs.replace(make(1, 0.5), test_loss=None, test_accuracy=None)
    tested = make(2, 0.0)
    assert history.best([untested, tested]) is tested
    assert history.best([untested]) is None
    assert history.best([]) is None


def test_pandas_finds_no_number_where_nothing_was_tested() -> None:
    untested = msgspec.structs.replace(make(1, 0.5), test_loss=None, test_accuracy=None)
    table = pd.read_csv(io.StringIO(history.to_csv([untested, make(2, 0.5)])))
    assert table.test_accuracy.dtype == "float64"
    assert table.test_accuracy.isna().tolist() == table.test_loss.isna().tolist() == [True, False]


def test_validation_decides_where_there_is_some() -> None:
    first, second = make(1, 0.9, 0.5), make(2, 0.1, 0.6)
    assert history.best([first, second]) is second
    assert (first.deciding_loss, make(1, 0.9).deciding_loss) == (3.0, 2.0)


@given(st.binary(max_size=300))
def test_garbage_is_one_clean_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.csv"
    path.write_bytes(content)
    with pytest.raises(RunError, match="is not a history of epochs"):
        history.read_csv(path)


HEADER = "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n"


@given(st.text(st.sampled_from('0123456789.,-+enaif"\n\r\x00 '), max_size=60))
def test_garbage_below_a_good_header_is_rows_or_one_clean_error(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage_rows.csv"
    path.write_text(HEADER + content)
    with suppress(RunError):
        assert history.read_csv(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        HEADER,
        HEADER + "1,0.1,1,0.5,2,0.5\n",
        HEADER + "1,0.1,1,0.5,2,0.5,1,8,9,10\n",
        HEADER + "one,0.1,1,0.5,2,0.5,1\n",
        HEADER + "1,nan,1,0.5,2,0.5,1\n",
        HEADER + "1,0.1,1,0.5,2,0.5,inf\n",
        HEADER + "1" * 200_000,
        HEADER + "2,0.1,1,0.5,2,0.5,1\n",
        HEADER + "1,0.1,1,0.5,2,0.5,1\n" * 2,
        HEADER + "0,0.1,1,0.5,2,0.5,1\n",
        HEADER + "1,0.1,1e308,0.5,2,0.5,1\n",
        HEADER + "1,0.1,1,0.5,-1e300,0.5,1\n",
        HEADER + "1,0.1,1,1.5,2,0.5,1\n",
        HEADER + "1,0.1,1,0.5,2,nan,1\n",
        "name,price\ntea,1\n",
    ],
)
def test_tables_of_something_else_are_one_clean_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "history.csv").write_text(content)
    with pytest.raises(RunError, match="is not a history of epochs") as caught:
        history.read_csv(tmp_path / "history.csv")
    assert len(caught.value.message) < 500


def test_missing_file_is_one_clean_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a history of epochs"):
        history.read_csv(tmp_path / "history.csv")


def test_a_loss_beyond_every_number_survives(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HEADER + "1,0.1,inf,0.5,nan,0.5,1\n")
    (row,) = history.read_csv(tmp_path / "history.csv")
    assert row.train_loss == math.inf
    assert math.isnan(row.test_loss)
