import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import SETTINGS
from evacli.errors import ConfigError
from evacli.sweeping import search
from evacli.sweeping.search import Choices, Range, draw, read, spell

# Any settings of each kind, and what they can be.
RATES = st.floats(1e-12, 1e6)
SHARES = st.floats(0, 0.999)
NUMBERS = {"lr": RATES, "base_lr": RATES, "momentum": SHARES, "dropout": SHARES, "mixup": st.floats(0, 1e6)}
WHOLE = {"cutout": st.integers(0, 4096), "batch_size": st.integers(1, 2**31 - 1), "cycles": st.integers(1, 10**6)}
OTHERS = {
    "optimizer": st.sampled_from(list(OPTIMIZERS)),
    "flip": st.booleans(),
    "dropout": SHARES | st.sampled_from(["own", "none"]),
    "batch_size": st.integers(1, 9).map("up-to-{}".format) | st.integers(1, 99) | st.just("full"),
    "model": st.sampled_from(["eva", "resnet20", "path/to my/net.py:build"]),
}


@st.composite
def ranges(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Range:
    low, high = sorted(draw(st.lists(values, min_size=2, max_size=2, unique=True)))
    return Range(low, high, low > 0 and draw(st.booleans()))


def choices(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Choices]:
    return st.lists(values, min_size=2, max_size=5, unique=True).map(tuple).map(Choices)


SPACES = st.dictionaries(st.sampled_from([*NUMBERS, *WHOLE, *OTHERS]), st.none(), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.one_of(
                *([ranges((NUMBERS | WHOLE)[name])] if name in NUMBERS | WHOLE else []),
                choices((WHOLE | NUMBERS | OTHERS)[name]),
            )
            for name in names
        }
    )
)


@given(SPACES)
def test_what_is_spelled_is_read_back(space: dict[str, Range | Choices]) -> None:
    assert read(spell(space)) == space
    spelled = [f"{name.replace('_', '-')}={text}" for name, text in spell(space).items()]
    assert read(",".join(spelled)) == space == read(spelled)


def test_a_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    lines = 'lr = "1e-3..1e-1:log"', 'optimizer = ["sgdw", "adamw"]', "flip = [true, false]", "crop = [0, 4]"
    file.write_text("\n".join(["[search]", *lines]))
    expected = read("lr=1e-3..1e-1:log,optimizer=sgdw|adamw,flip=yes|no,crop=0|4")
    assert read(str(file)) == expected
    assert expected["lr"] == Range(0.001, 0.1, log=True)
    assert expected["crop"] == Choices((0, 4))
    assert read([str(file), "cutout=0..16"]) == {**expected, "cutout": Range(0, 16)}


REFUSED = [
    ("lrr=1e-3..1e-1", "lrr: there is no such setting. Did you mean lr?"),
    ("lr", "lr: it says not what of."),
    ("lr=0.1", "lr: that is no choice. Name more values, or give --lr 0.1."),
    ("lr=0.1..0.01", "beginning is not below its end. Exchange them."),
    ("lr=0..1:log", "a logarithm has no 0 to begin at"),
    ("weight_decay=0..1:log", "a logarithm has no 0 to begin at. Begin at 0.001, or without :log."),
    ("lr=0.1..1:lin", "there is no scale lin"),
    ("lr=0.1..2e9", "--lr 2000000000.0: must be at most 1,000,000."),
    ("lr=auto..1", "its ends must be numbers"),
    ("cutout=0..1.5", "its ends must be whole numbers"),
    ("cutout=0|0.5", "--cutout 0.5: must be a whole number"),
    ("optimizer=sgdw|adm", "--optimizer adm: there is no such choice. Did you mean adam?"),
    ("optimizer=a..b", "it is not a number"),
    ("flip=yes|maybe", "--flip maybe: must be true or false"),
    ("lr=0.1..1,lr=1..2", "names lr twice"),
    ("val_split=0.1|0.2", "val_split: trials with other values of it cannot be compared. Give one as --val-split."),
    ("seed=0..9", "seed: trials with other values of it cannot be compared"),
    ("", "names no setting"),
    ("nothing.toml", "nothing.toml cannot be used: No such file or directory."),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_cannot_be_searched_is_refused_with_the_way_on(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert said in f"{refused.value.message} {refused.value.fix}"


RUNS_CODE = '[search]\nmodel = ["eva", "theirs.py:build"]'


@pytest.mark.parametrize(
    "text", ["", "[other]", "search = 1", "lr = [", "[search]\nlr = {}", "[search]\nlr = 0.1", RUNS_CODE]
)
def test_a_file_that_says_no_search_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read(str(file))


class Lowest:
    """Draws the first of everything, and remembers."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return low + (high - low) / 3

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return low

    def suggest_categorical(self, name: str, choices: tuple[Any, ...]) -> Any:
        return choices[0]


def test_only_what_means_something_beside_the_rest_is_drawn() -> None:
    space = read("momentum=0.5..0.9,optimizer=adam|sgdw,beta_1=0.8..0.9,drop_factor=2..5,views=1..4")
    assert draw(space, {}, Lowest()) == {"optimizer": "adam", "beta_1": 0.8333}
    assert draw(space, {"schedule": "step"}, Lowest())["drop_factor"] == 3
    assert draw(space, {"weights": "imagenet"}, Lowest())["views"] == 1
    assert list(draw(read("momentum=0.5..0.9,optimizer=sgdw|adam"), {}, Lowest())) == ["momentum", "optimizer"]


@given(ranges(RATES), st.floats(0, 1))
def test_what_is_drawn_is_short_and_inside(searched: Range, part: float) -> None:
    value = searched.rounded(min(searched.low + part * (searched.high - searched.low), searched.high))
    assert searched.low <= value <= searched.high
    digits = re.sub(r"e.*|[.]|^0+[.]?0*", "", repr(value)).rstrip("0")
    assert len(digits) <= 4 or value in (searched.low, searched.high)


def test_every_setting_can_be_searched_or_is_fixed_by_name() -> None:
    assert set(SETTINGS) > search.FIXED
