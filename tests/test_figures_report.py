import msgspec
import numpy as np
import pytest
from matplotlib.image import imread
from tiny_run import HOSTILE, make_rows

from evacli.figures.confusion import draw_confusion
from evacli.figures.curves import draw_curves
from evacli.figures.style import save


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.get_lines() if not line.get_label().startswith("_")}


@pytest.mark.parametrize("num_epochs", [1, 3, 100])
def test_the_curves_are_the_history(num_epochs, tmp_path):
    rows = make_rows(num_epochs)
    figure = draw_curves(rows, num_epochs, "test")
    accuracy, loss, rate = figure.axes
    assert list(lines(accuracy)) == ["training (while it learns)", "test"]
    np.testing.assert_allclose(lines(accuracy)["test"], [row.test_accuracy for row in rows])
    np.testing.assert_allclose(lines(loss)["training (while it learns)"], [row.train_loss for row in rows])
    np.testing.assert_allclose(rate.get_lines()[0].get_ydata(), [row.lr for row in rows])
    assert accuracy.get_xlim() == loss.get_xlim() == rate.get_xlim()
    save(figure, tmp_path / "curves.png")


def test_a_single_test_chooses_nothing():
    rows = [msgspec.structs.replace(row, test_loss=None, test_accuracy=None) for row in make_rows(3)]
    title = draw_curves([*rows[:2], make_rows(3)[2]], 3, "test").get_suptitle()
    assert "at epoch 3" in title
    assert "the only epoch that was tested" in title
    assert "chosen" not in title


def test_curves_lead_from_test_to_test():
    first, *others, last = make_rows(5)
    untested = [msgspec.structs.replace(row, test_loss=None, test_accuracy=None) for row in others]
    for axes in draw_curves([first, *untested, last], 5, "test").axes[:2]:
        train, test = axes.get_lines()[:2]
        assert list(test.get_xdata()) == [1, 5]
        assert list(train.get_xdata()) == [1, 2, 3, 4, 5]
        assert np.isfinite(test.get_ydata()).all()


def test_validation_has_a_curve_of_its_own_and_chooses():
    rows = make_rows(5, validated=True)
    figure = draw_curves(rows, 4, "validation")
    np.testing.assert_allclose(lines(figure.axes[0])["validation"], [row.val_accuracy for row in rows])
    assert f"{rows[3].val_accuracy:.2%} at epoch 4" in figure.get_suptitle()
    assert "epoch chosen by validation accuracy" in figure.get_suptitle()


def test_test_time_augmentation_is_said():
    rows = make_rows(3)
    assert draw_curves(rows, 3, "test").get_supxlabel() == ""
    assert "evaluated together with its mirror image" in draw_curves(rows, 3, "test", tta=True).get_supxlabel()


@pytest.mark.parametrize("num_epochs", [1, 3, 100])
def test_the_highest_rate_of_an_epoch_stands_beside_that_of_its_last_step(num_epochs, tmp_path):
    rows = make_rows(num_epochs)
    peaks = [None if row.epoch == 2 else 2 * row.lr for row in rows]
    figure = draw_curves(rows, num_epochs, "test", peaks=peaks)
    drawn = lines(figure.axes[2])
    np.testing.assert_array_equal(drawn["last step"], [row.lr for row in rows])
    np.testing.assert_array_equal(drawn["highest of the epoch"], np.array(peaks, float))
    low, high = figure.axes[2].get_ylim()
    assert low < rows[-1].lr < 2 * rows[0].lr < high
    save(figure, tmp_path / "curves.png")


def test_a_rate_that_stays_within_an_epoch_is_drawn_once():
    rows = make_rows(3)
    for peaks in ([row.lr for row in rows], [None] * 3, ()):
        assert len(draw_curves(rows, 3, "test", peaks=peaks).axes[2].get_lines()) == 2  # with the mark of the best


def test_a_growing_batch_is_drawn_beside_the_rate():
    rows = [msgspec.structs.replace(row, batch_size=10 * row.epoch) for row in make_rows(3)]
    rate, sizes = draw_curves(rows, 3, "test").axes[2:]
    np.testing.assert_allclose(sizes.get_lines()[0].get_ydata(), [10, 20, 30])
    assert "batch size" in rate.get_title(loc="left")


def test_the_best_epoch_is_marked_in_every_part():
    for axes in draw_curves(make_rows(5), 3, "test").axes:
        assert any(list(line.get_xdata()) == [3, 3] and line.get_linestyle() == ":" for line in axes.get_lines())


def test_a_loss_that_is_not_finite_leaves_a_gap(tmp_path):
    *rows, last = make_rows(4)
    rows.append(msgspec.structs.replace(last, train_loss=float("nan"), test_loss=float("inf")))
    figure = draw_curves(rows, 2, "test")
    for label, values in lines(figure.axes[1]).items():
        assert np.isfinite(values).tolist() == [True, True, True, False], label
    save(figure, tmp_path / "curves.png")


@pytest.mark.parametrize("num_classes", [1, 2, 10, 100, 130])
def test_the_matrix_is_drawn_for_any_number_of_classes(num_classes, tmp_path):
    counts = np.random.default_rng(0).poisson(1, (num_classes, num_classes))
    figure = draw_confusion(counts, [f"class {i}" for i in range(num_classes)])
    axes = figure.axes[0]
    written = [text.get_text() for text in axes.texts]
    assert written == ([str(n) for n in counts.flat if n] if num_classes <= 20 else [])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(axes.images[0].get_array(), shares)
    save(figure, tmp_path / "matrix.png")
    assert imread(tmp_path / "matrix.png").shape[0] > 500


@pytest.mark.parametrize(("num_classes", "step"), [(120, 1), (121, 2), (240, 2), (1000, 9)])
def test_of_many_classes_every_nth_is_named_where_it_is(num_classes, step):
    names = [f"class {i}" for i in range(num_classes)]
    axes = draw_confusion(np.eye(num_classes, dtype=int), names).axes[0]
    for axis, what in ((axes.xaxis, "predicted class"), (axes.yaxis, "true class")):
        labels = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        written = {int(tick): label.get_text() for tick, label in labels}
        assert written == {i: names[i] for i in range(0, num_classes, step)}
        told = "" if step == 1 else f", {len(written)} of {num_classes} named"
        assert axis.get_label_text() == what + told


def test_numbers_stand_out_from_their_cell():
    figure = draw_confusion(np.array([[99, 1], [50, 50]]), ["a", "b"])
    assert [text.get_color() for text in figure.axes[0].texts] == ["white", "black", "white", "white"]


def test_names_are_drawn_as_they_are_spelled(tmp_path):
    figure = draw_confusion(np.eye(len(HOSTILE), dtype=int), HOSTILE)
    save(figure, tmp_path / "matrix.png")
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert max(map(len, shown)) <= 40
    assert r"\x1b[31mred" in shown
