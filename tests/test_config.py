from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from any_settings import SETTINGS, VALUES
from hypothesis import given

from evacli import config
from evacli.config import Config
from evacli.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "--epochs 0: must be at least 1."),
        ({"epochs": 2.5}, "--epochs 2.5: must be a whole number."),
        ({"epochs": True}, "--epochs True: must be a whole number."),
        ({"lr": -1.0}, "--lr -1.0: must be more than 0."),
        ({"lr": 0.0}, "--lr 0.0: must be more than 0."),
        ({"lr": float("nan")}, "--lr nan"),
        ({"lr": float("inf")}, "--lr inf"),
        ({"lr": "fast"}, "--lr fast"),
        ({"momentum": 1.0}, "--momentum 1.0: must be less than 1."),
        ({"momentum": float("nan")}, "--momentum nan"),
        ({"weight_decay": float("nan")}, "--weight-decay nan"),
        ({"val_split": 1.0}, "--val-split 1.0"),
        ({"val_split": float("nan")}, "--val-split nan"),
        ({"label_smoothing": -0.1}, "--label-smoothing -0.1"),
        ({"batch_size": 10**30}, "--batch-size"),
        ({"limit_train": 0}, "--limit-train 0"),
        ({"cutout": -1}, "--cutout -1"),
        ({"seed": -1}, "--seed -1"),
        ({"model": ""}, "--model"),
        ({"dataset": "imagenet"}, "--dataset imagenet"),
    ],
)
def test_values_out_of_range_are_refused_by_the_name_of_their_option(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.make(settings)
    assert caught.value.message.startswith(words)
    assert caught.value.exit_code == 2


def test_choices_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        config.make({"schedule": "zigzag"})
    assert "one-cycle" in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        config.make({"lr": "fast"})
    assert "auto" in caught.value.fix


def test_unknown_setting_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="learning_rate") as caught:
        config.make({"learning_rate": 0.1})
    assert "lr" in caught.value.fix


def test_numbers_and_paths_of_a_notebook_are_accepted() -> None:
    made = config.make({"data": Path("images"), "epochs": np.int64(3), "lr": np.float64(0.1), "flip": np.bool_(False)})
    assert (made.data, made.epochs, made.lr, made.flip) == ("images", 3, 0.1, False)
    assert type(made.epochs) is int


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_size", "160x"), ("batch_size", "upto-8"), ("batch_size", "up-to-0"), ("scale", "0.35-2"), ("scale", "-1")],
)
def test_words_that_follow_no_pattern_are_refused_with_one_that_does(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{value}: cannot be understood") as caught:
        config.make({name: value})
    assert caught.value.fix == f"Give {config.SETTINGS[name].says.spelled}."


def test_shares_are_a_range_up_to_all() -> None:
    assert config.make({"scale": "0.35-0.9"}).scales == (0.35, 0.9)
    assert config.make({"scale": 0.35}).scales == (0.35, 1)


TOGETHER = [
    ({"optimizer": "adam", "momentum": 0.5}, "--momentum 0.5 means nothing to --optimizer adam."),
    ({"optimizer": "sgd", "momentum": 0.5}, "--momentum 0.5 means nothing to --optimizer sgd."),
    ({"rho": 0.5}, "--rho 0.5 means nothing to --optimizer sgdw."),
    ({"beta_1": 0.5}, "--beta-1 0.5 means nothing to --optimizer sgdw."),
    ({"optimizer": "lion", "epsilon": 0.1}, "--epsilon 0.1 means nothing to --optimizer lion."),
    ({"schedule": "cosine", "cycle": "triangular"}, "--cycle triangular means nothing to --schedule cosine."),
    ({"schedule": "constant", "base_lr": 0.1}, "--base-lr 0.1 means nothing to --schedule constant."),
    ({"grow_batch": 1000}, "--grow-batch 1000 means nothing to --schedule one-cycle."),
    ({"schedule": "step", "grow_batch": 100}, "--grow-batch 100 is no room to grow for --batch-size 128."),
    ({"schedule": "step", "grow_batch": 100, "batch_size": "full"}, "--grow-batch 100 is no room to grow"),
    ({"lr": 0.1, "base_lr": 0.1}, "--base-lr 0.1 is not below the peak, 0.1."),
    ({"optimizer": "lion", "beta_1": 0.0}, "--beta-1 0 leaves --optimizer lion without its average."),
    ({"schedule": "plateau", "test_every": 2}, "--test-every 2 leaves --schedule plateau without the losses"),
    ({"scale": "0.9-0.3"}, "--scale 0.9-0.3 is no range of shares."),
    ({"scale": ".0-1"}, "--scale .0-1 is no range of shares."),
    ({"epochs": 3, "warmup_epochs": 4}, "--warmup-epochs 4 is more than --epochs 3."),
]


@pytest.mark.parametrize(("settings", "words"), TOGETHER)
def test_options_that_mean_nothing_beside_the_others_are_refused_by_name(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.make(settings)
    assert caught.value.message.startswith(words)
    assert caught.value.fix
    config.check(settings)  # each is right in itself


@given(SETTINGS, SETTINGS)
def test_differences_are_the_fields_that_differ(a: dict[str, Any], b: dict[str, Any]) -> None:
    first, second = config.make(a), config.make(b)
    found = config.differences(first, second)
    assert msgspec.structs.replace(first, **{name: getattr(second, name) for name in found}) == second
    assert bool(found) == (first != second)


def test_options_go_over_a_recipe_and_free_it_of_what_they_make_meaningless() -> None:
    recipe = {"optimizer": "muon", "momentum": 0.85, "lr": 0.01, "schedule": "step", "drop_factor": 5, "data": "x"}
    assert config.over(recipe, {}) == recipe
    assert config.over(recipe, {"optimizer": "nesterov", "lr": 0.1}) == recipe | {"optimizer": "nesterov", "lr": 0.1}
    found = config.over(recipe, {"optimizer": "adam", "schedule": "cosine", "dataset": "digits"})
    assert found == {"optimizer": "adam", "lr": 0.01, "schedule": "cosine", "dataset": "digits"}
    config.make(found)
    with pytest.raises(ConfigError, match="--momentum"):
        config.make(config.over(recipe, {"optimizer": "adam", "momentum": 0.5}))


@given(SETTINGS, SETTINGS)
def test_what_means_nothing_beside_a_recipe_was_given_and_is_not_the_recipes(
    recipe: dict[str, Any], given: dict[str, Any]
) -> None:
    option, found, _ = problem(config.over(recipe, given)).partition(" means nothing")
    assert not found or option.split()[0] in map(config.option, given)


def problem(settings: dict[str, Any]) -> str:
    try:
        config.make(settings)
    except ConfigError as e:
        return e.message
    return ""


def test_every_setting_is_among_those_that_are_tried() -> None:
    assert set(VALUES) == set(Config.__struct_fields__)
