import msgspec
import pytest
from tiny_run import make_rows

from evacli.reporting.charts import curves


def values(chart, look):
    """The points of a line, read off the ticks of its chart."""
    (line,) = [line for line in chart.lines if line.look == look]

    def scale(ticks, place):
        (a, first), (b, last) = ((at, float(text.rstrip(" %"))) for at, text in (ticks[0], ticks[-1]))
        return first + (place - a) / (b - a) * (last - first)

    places = [tuple(map(float, point.split(","))) for point in line.points]
    return [(scale(chart.x_ticks, x), scale(chart.y_ticks, y)) for x, y in places]


def test_curves_can_be_read_off_their_ticks():
    rows = make_rows(7, validated=True)
    rows[3] = msgspec.structs.replace(rows[3], test_accuracy=None)  # passed over by --test-every
    accuracy, loss, rate = curves(rows, 5, [0.1 / row.epoch + 0.02 for row in rows])
    for chart, look, expected, tolerance in (
        (
            accuracy,
            "test",
            [(row.epoch, 100 * row.test_accuracy) for row in rows if row.test_accuracy is not None],
            0.1,
        ),
        (loss, "val", [(row.epoch, row.val_loss) for row in rows], 0.001),
        (rate, "last", [(row.epoch, row.lr) for row in rows], 0.0001),
        (rate, "rate", [(row.epoch, row.lr + 0.02) for row in rows], 0.0001),
    ):
        found = values(chart, look)
        assert [x for x, _ in found] == pytest.approx([x for x, _ in expected], abs=0.01)
        assert [y for _, y in found] == pytest.approx([y for _, y in expected], abs=tolerance)
    assert [line.label for line in accuracy.lines] == ["training", "test", "validation"]
    assert accuracy.mark == pytest.approx(float(accuracy.lines[0].points[4].split(",")[0]))


def test_a_single_epoch_and_a_loss_without_end_are_drawn():
    (row,) = make_rows(1)
    accuracy, loss, rate = curves([msgspec.structs.replace(row, train_loss=float("inf"))], 1, [None])
    assert len(values_of(accuracy)) == 2
    assert [line.look for line in loss.lines] == ["test"]
    assert [line.look for line in rate.lines] == ["last"]
    assert accuracy.dots


def values_of(chart):
    return [point for line in chart.lines for point in line.points]
