import io
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import HOSTILE, make_data

from evacli.data.types import Split
from evacli.evaluation import Predictions
from evacli.reporting import mistakes
from evacli.run.directory import write_text_atomically


def random_predictions(num_classes, labels):
    logits = np.random.default_rng(3).normal(0, 4, (len(labels), num_classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(probabilities.astype(np.float32), labels)


def read(text):
    return pd.read_csv(io.StringIO(text))


def test_the_table_lists_every_mistake_worst_first():
    data = make_data(num_test=100)
    found = random_predictions(3, data.test.labels)
    table = read(mistakes.to_csv(found, data.test, data.class_names))
    assert tuple(table.columns) == mistakes.COLUMNS
    wrong = np.flatnonzero(found.probabilities.argmax(1) != data.test.labels)
    assert sorted(table["index"]) == wrong.tolist()
    assert table.loss.is_monotonic_decreasing
    for row in table.itertuples():
        probabilities, label = found.probabilities[row.index], data.test.labels[row.index]
        assert row.file == f"test/{row.index}.png"
        assert row.true_class == data.class_names[label]
        assert row.predicted_class == data.class_names[probabilities.argmax()]
        assert row.true_probability == pytest.approx(probabilities[label], rel=1e-5)
        assert row.predicted_probability == pytest.approx(probabilities.max(), rel=1e-5)
        assert row.loss == pytest.approx(-np.log(probabilities[label]), rel=1e-4)


def test_equal_losses_are_in_the_order_of_the_images():
    same = Predictions(np.full((4, 2), 0.5, np.float32), np.array([1, 0, 1, 1]))
    assert same.worst_first == [0, 2, 3]


def test_without_mistakes_only_the_header_is_left():
    data = make_data()
    perfect = Predictions(np.eye(3, dtype=np.float32)[data.test.labels], data.test.labels)
    assert read(mistakes.to_csv(perfect, data.test, data.class_names)).empty


def test_hostile_names_stay_in_their_cells(tmp_path):
    data = make_data(HOSTILE, num_test=60)
    found = random_predictions(len(HOSTILE), data.test.labels)
    write_text_atomically(tmp_path / "wrong.csv", mistakes.to_csv(found, data.test, HOSTILE))
    table = pd.read_csv(tmp_path / "wrong.csv")
    assert len(table) == len(found.mistakes)
    expected = [HOSTILE[data.test.labels[i]] for i in found.worst_first]
    shown = {"=1+1": "'=1+1", "\x1b[31mred": r"\x1b[31mred", "lone \ud800 surrogate": r"lone \ud800 surrogate"}
    assert table.true_class.tolist() == [shown.get(name, name) for name in expected]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_cell_starts_a_formula_and_each_mistake_is_a_line(name):
    split = Split(np.zeros((1, 1, 1, 3), np.uint8), np.array([0]), [name])
    wrong = Predictions(np.array([[0.2, 0.8]], np.float32), np.array([0]))
    text = mistakes.to_csv(wrong, split, (name, "other"))
    assert text.count("\n") == 2
    cell = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).file[0]
    assert cell[0] not in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
    if not any(unicodedata.category(c) == "Cc" for c in name):
        assert cell in (name, "'" + name)
