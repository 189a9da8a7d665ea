import pytest

from evacli import formats


@pytest.mark.parametrize(
    ("share", "percent", "points"),
    [(0.12345, "12.35%", "+12.35"), (-0.5, "-50.00%", "-50.00"), (None, formats.DASH, formats.DASH)],
)
def test_shares(share, percent, points):
    assert (formats.percent(share), formats.points(share)) == (percent, points)


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
