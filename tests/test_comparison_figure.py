import io

import msgspec
import numpy as np
import pytest
from compared_runs import random_rows
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from tiny_run import HOSTILE, make_rows

from evacli.comparing.runs import LABEL, MOST
from evacli.figures.comparison import LOOKS, PANELS, Course, cut_panels, draw_comparison
from evacli.figures.style import save


def courses(number, epochs=5):
    return [Course(f"run {i}", random_rows(i, epochs), 2, "finished") for i in range(number)]


def curves(axes):
    return [line for line in axes.get_lines() if not line.get_label().startswith("_")]


@pytest.mark.parametrize(("number", "epochs"), [(2, 1), (3, 5), (20, 40)])
def test_the_curves_are_the_histories(number, epochs, tmp_path):
    drawn = courses(number, epochs)
    figure = draw_comparison(drawn)
    assert len(figure.axes) == 2 * len(PANELS)
    for by_epoch, by_time, (_, column) in zip(figure.axes[::2], figure.axes[1::2], PANELS, strict=True):
        assert len(curves(by_epoch)) == len(curves(by_time)) == number
        for left, right, course in zip(curves(by_epoch), curves(by_time), drawn, strict=True):
            expected = [getattr(row, column) for row in course.rows]
            np.testing.assert_allclose(left.get_ydata(), expected)
            np.testing.assert_allclose(right.get_ydata(), expected)
            np.testing.assert_allclose(left.get_xdata(), range(1, epochs + 1))
            np.testing.assert_allclose(right.get_xdata(), np.cumsum([row.seconds for row in course.rows]))
    save(figure, tmp_path / "compare.png")


def test_curves_lead_from_test_to_test():
    rows = [
        row if row.epoch in (2, 4) else msgspec.structs.replace(row, test_loss=None, test_accuracy=None)
        for row in random_rows(0, 5)
    ]
    figure = draw_comparison([Course("seldom", rows, 4, "unfinished"), *courses(1)])
    times = np.cumsum([row.seconds for row in rows])
    for by_epoch, by_time, (_, column) in zip(figure.axes[::2], figure.axes[1::2], PANELS, strict=True):
        tested = [1, 3] if column.startswith("test") else list(range(5))
        left, right = curves(by_epoch)[0], curves(by_time)[0]
        np.testing.assert_allclose(left.get_xdata(), np.array(tested) + 1)
        np.testing.assert_allclose(right.get_xdata(), times[tested])
        np.testing.assert_allclose(left.get_ydata(), [getattr(rows[i], column) for i in tested])
    star = next(line for line in figure.axes[0].get_lines() if line.get_marker() == "*")
    np.testing.assert_allclose(star.get_xydata(), [[4, rows[3].test_accuracy]])


def test_every_run_looks_different_and_the_legend_tells_how():
    figure = draw_comparison(courses(MOST))
    handles = figure.legends[0].get_lines()
    assert len(LOOKS) >= MOST
    for axes in figure.axes:
        looks = [(line.get_color(), line.is_dashed(), line._unscaled_dash_pattern) for line in curves(axes)]
        assert len(set(looks)) == MOST
        assert looks == [(line.get_color(), line.is_dashed(), line._unscaled_dash_pattern) for line in handles]
    assert len({line.get_color() for line in handles[:7]}) == 7
    assert not any(line.is_dashed() for line in handles[:7])


@pytest.mark.parametrize("number", [2, 12, MOST])
@pytest.mark.parametrize("length", [3, LABEL])
def test_the_legend_is_whole_and_covers_no_curve(number, length):
    drawn = [course._replace(label="W" * (length - 2) + f"{i:02}") for i, course in enumerate(courses(number))]
    figure = draw_comparison(drawn)
    FigureCanvasAgg(figure).draw()
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0
    assert all(legend.y1 < axes.get_tightbbox().y0 for axes in figure.axes)


def test_no_text_leaves_its_half():
    figure = draw_comparison(courses(3))
    FigureCanvasAgg(figure).draw()
    middle = figure.bbox.width / 2
    for axes in figure.axes[::2]:
        assert 0 <= axes.get_tightbbox().x0 < axes.get_tightbbox().x1 <= middle
    for axes in figure.axes[1::2]:
        assert middle <= axes.get_tightbbox().x0 < axes.get_tightbbox().x1 <= figure.bbox.width


def test_the_panels_are_cut_from_the_picture(tmp_path):
    figure = draw_comparison(courses(12))
    save(figure, tmp_path / "compare.png")
    whole = imread(tmp_path / "compare.png")
    left, right = (imread(io.BytesIO(part)) for part in cut_panels(tmp_path / "compare.png"))
    np.testing.assert_array_equal(np.hstack([left, right]), whole[: len(left)])
    legend = figure.legends[0].get_window_extent().y1 / figure.bbox.height
    assert len(left) / len(whole) < 1 - legend


@pytest.mark.parametrize(("state", "marker"), [("unfinished", ">"), ("failed", "X")])
def test_a_run_that_did_not_end_is_marked_at_its_end(state, marker):
    rows = make_rows(3)
    figure = draw_comparison([Course("a", rows, 3, "finished"), Course("b", rows, 3, state)])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", f"b ({state})"]
    for axes in figure.axes:
        ends = [line for line in axes.get_lines() if line.get_marker() == marker]
        assert [len(line.get_xdata()) for line in ends] == [1]


def test_the_best_epoch_has_a_star():
    rows = random_rows(3)
    axes = draw_comparison([Course("a", rows, 4, "finished"), Course("b", rows, 0, "finished")]).axes[0]
    stars = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [list(line.get_xdata()) for line in stars] == [[4], []]
    assert stars[0].get_ydata()[0] == rows[3].test_accuracy


def test_a_run_without_epochs_is_in_the_legend_alone(tmp_path):
    figure = draw_comparison([Course("none", [], 0, "failed"), Course("some", make_rows(3), 3, "finished")])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none (failed)", "some"]
    save(figure, tmp_path / "compare.png")
    save(draw_comparison([Course("none", [], 0, "failed")] * 2), tmp_path / "compare.png")


def test_a_loss_that_is_not_finite_leaves_a_gap(tmp_path):
    *rows, last = make_rows(4)
    rows.append(msgspec.structs.replace(last, train_loss=float("nan"), test_loss=float("inf")))
    figure = draw_comparison([Course("a", rows, 2, "failed"), Course("b", make_rows(4), 2, "finished")])
    for axes in figure.axes[4:]:
        assert np.isnan(curves(axes)[0].get_ydata()[-1])
        assert np.isfinite(axes.get_ylim()).all()
    save(figure, tmp_path / "compare.png")


def test_one_quantity_has_one_scale_and_an_exploding_loss_a_logarithmic_one():
    rows = make_rows(4)
    tame = draw_comparison([Course("a", rows, 2, "finished")] * 2).axes
    assert len({axes.get_ylim() for axes in tame[:4]}) == len({axes.get_ylim() for axes in tame[4:]}) == 1
    assert {axes.get_yscale() for axes in tame} == {"linear"}
    wild = [*rows[:-1], msgspec.structs.replace(rows[-1], test_loss=1e6)]
    axes = draw_comparison([Course("a", rows, 2, "finished"), Course("b", wild, 2, "finished")]).axes
    assert [part.get_yscale() for part in axes] == ["linear"] * 4 + ["log"] * 4


def test_names_are_drawn_as_they_are_spelled(tmp_path):
    names = ["_hidden", " ", *(name[:LABEL] for name in HOSTILE)]
    figure = draw_comparison([Course(name, make_rows(2), 1, "finished") for name in names])
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(shown) == len(names)
    assert shown[0] == "_hidden"
    assert r"\x1b[31mred" in shown
    save(figure, tmp_path / "compare.png")
