import pytest

from evacli import formats


@pytest.mark.parametrize(
    ("share", "percent", "points"),
    [(0.12345, "12.35%", "+12.35"), (-0.5, "-50.00%", "-50.00"), (None, formats.DASH, formats.DASH)],
)
def test_shares(share, percent, points):
    assert (formats.percent(share), formats.points(share)) == (percent, points)


@pytest.mark.parametrize(
    ("number", "thing", "shown"),
    [
        (0, "epoch", "0 epochs"),
        (1, "epoch", "1 epoch"),
        (2, "epoch", "2 epochs"),
        (1234, "test image", "1,234 test images"),
        (1, "class", "1 class"),
        (10, "class", "10 classes"),
        (3, "batch", "3 batches"),
    ],
)
def test_one_thing_is_not_spoken_of_as_many(number, thing, shown):
    assert formats.counted(number, thing) == shown


def test_names_are_joined():
    joined = [formats.joined(["a", "b", "c"][:n], "or") for n in range(4)]
    assert joined == ["", "a", "a or b", "a, b or c"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_durations(seconds, shown):
    assert formats.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "yes"), (False, "no"), (None, formats.DASH), (1, 1), (0, 0), (0.1, 0.1), ("x", "x")]
)
def test_settings(value, shown):
    assert formats.spelled(value) == shown
    assert type(formats.spelled(value)) is type(shown)
