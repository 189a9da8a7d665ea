import json
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from evacli import config, methods
from evacli.config import Config, Cycle, Dataset, Precision, Schedule
from evacli.errors import ConfigError, Contradiction, RunError
from evacli.run.directory import RunDir

RATES = st.floats(min_value=0, max_value=1e6, exclude_min=True)
SHARES = st.floats(min_value=0, max_value=1, exclude_max=True)
COUNTS = st.integers(1, 2**31 - 1)
NAMES = st.text(st.characters(exclude_categories=()), min_size=1)  # lone surrogates included
ALL_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.sampled_from(get_args(Dataset)),
        "data": st.none() | NAMES,
        "val_split": SHARES,
        "limit_train": st.none() | COUNTS,
        "limit_test": st.none() | COUNTS,
        "skip_bad": st.booleans(),
        "model": NAMES,
        "cutout": st.none() | st.integers(0, 4096),
        "crop": st.none() | st.integers(0, 4096),
        "flip": st.none() | st.booleans(),
        "lr": RATES | st.just("auto"),
        "schedule": st.sampled_from(get_args(Schedule)),
        "dropout": st.none() | SHARES | st.sampled_from(["none", "own"]),
        "mirror_test": st.booleans(),
        "spatial_dropout": st.booleans(),
        "input_noise": SHARES,
        "optimizer": st.sampled_from(get_args(methods.Name)),
        "momentum": st.none() | SHARES,
        "beta_1": st.none() | SHARES,
        "beta_2": st.none() | SHARES,
        "rho": st.none() | SHARES,
        "epsilon": st.none() | RATES,
        "weight_decay": st.none() | st.floats(0, 1),
        "gradient_noise": SHARES,
        "label_smoothing": SHARES,
        "batch_size": COUNTS | st.just("full"),
        "epochs": COUNTS,
        "warmup_epochs": st.none() | SHARES,
        "cycle": st.none() | st.sampled_from(get_args(Cycle)),
        "cycles": st.none() | COUNTS,
        "drop_factor": st.none() | st.floats(1.5, 100),
        "seed": st.integers(0, 2**31 - 1),
        "precision": st.sampled_from(get_args(Precision)),
    },
)


def possible(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what another optimizer or schedule would need."""
    chosen = {"optimizer": "sgdw", "schedule": "one-cycle"} | settings
    belongs = {name: chosen[setting] in choices for name, (setting, choices) in config.BELONGS_TO.items()}
    return {name: value for name, value in settings.items() if belongs.get(name, True)}


SETTINGS = ALL_SETTINGS.map(possible)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """For hypothesis, which calls a test many times with one directory."""
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.create()
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def trained(run: RunDir, **settings: Any) -> RunDir:
    config.write(run, config.make(settings))
    run.checkpoint.touch()
    return run


@given(SETTINGS)
@settings_of_hypothesis(max_examples=50)
def test_what_is_written_is_plain_json_and_read_back(shared: RunDir, settings: dict[str, Any]) -> None:
    made = config.make(settings)
    config.write(shared, made)
    assert config.read(shared) == made
    document = json.loads(shared.config.read_text(encoding="utf-8"))
    assert list(document) == list(Config.__struct_fields__)
    assert {name: document[name] for name in settings} == settings


@given(st.binary())
def test_garbage_on_disk_is_one_clean_error(shared: RunDir, content: bytes) -> None:
    shared.config.write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json is not an evacli configuration"):
        config.read(shared)


@given(
    st.dictionaries(
        st.sampled_from(Config.__struct_fields__) | st.text(),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
    )
)
def test_any_json_object_on_disk_is_a_configuration_or_one_clean_error(shared: RunDir, values: dict[str, Any]) -> None:
    shared.config.write_text(json.dumps(values))
    with suppress(RunError):
        assert isinstance(config.read(shared), Config)


@pytest.mark.parametrize("content", [b"[" * 100_000, b" " * (17 * 2**20), b"1" * 10_000, b'{"epochs": 1e999}'])
def test_documents_meant_to_hurt_are_one_clean_error(run: RunDir, content: bytes) -> None:
    run.config.write_bytes(content)
    with pytest.raises(RunError, match="is not an evacli configuration"):
        config.read(run)


def test_run_without_configuration(run: RunDir) -> None:
    assert config.read(run) is None
    assert config.inherit(run, {}) == Config()


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


def test_settings_go_on_top_of_what_the_run_has_stored(run: RunDir) -> None:
    config.write(run, config.make({"model": "resnet9", "batch_size": 64}))
    assert config.inherit(run, {"batch_size": 32}) == config.make({"model": "resnet9", "batch_size": 32})


def test_named_dataset_replaces_the_runs_own_data(run: RunDir) -> None:
    config.write(run, config.make({"data": "images"}))
    assert config.inherit(run, {"dataset": "digits"}).data is None
    assert config.inherit(run, {}).data == "images"


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
    ({"epochs": 3, "warmup_epochs": 4}, "--warmup-epochs 4 is more than --epochs 3."),
]


@pytest.mark.parametrize(("settings", "words"), TOGETHER)
def test_options_that_mean_nothing_beside_the_others_are_refused_by_name(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.make(settings)
    assert caught.value.message.startswith(words)
    assert caught.value.fix
    config.check(settings)  # each is right in itself


def test_another_optimizer_is_not_bound_by_what_the_last_one_was_told(run: RunDir) -> None:
    config.write(run, config.make({"momentum": 0.5, "schedule": "step", "drop_factor": 5.0}))
    changed = config.inherit(run, {"optimizer": "adam", "schedule": "cosine"})
    assert (changed.momentum, changed.drop_factor) == (None, None)
    assert config.inherit(run, {"optimizer": "nesterov"}).momentum == 0.5


FITTING = {
    "base_lr": {"schedule": "cyclical"},
    "cycle": {"schedule": "cyclical"},
    "cycles": {"schedule": "cyclical"},
    "drop_factor": {"schedule": "step"},
    "grow_batch": {"schedule": "step"},
    "beta_1": {"optimizer": "adam"},
    "beta_2": {"optimizer": "adam"},
    "rho": {"optimizer": "rmsprop"},
    "epsilon": {"optimizer": "adam"},
}


@pytest.mark.parametrize("field", sorted(set(Config.__struct_fields__) - config.CHANGEABLE))
def test_trained_run_refuses_every_other_setting_with_the_difference(run: RunDir, field: str) -> None:
    other = {
        "val_split": 0.5,
        "limit_train": 7,
        "limit_test": 7,
        "model": "resnet9",
        "cutout": 7,
        "crop": 7,
        "flip": True,
        "lr": 0.123,
        "schedule": "cosine",
        "optimizer": "nesterov",
        "dropout": 0.5,
        "spatial_dropout": True,
        "input_noise": 0.5,
        "momentum": 0.5,
        "beta_1": 0.5,
        "beta_2": 0.5,
        "rho": 0.5,
        "epsilon": 0.5,
        "weight_decay": 0.5,
        "gradient_noise": 0.5,
        "label_smoothing": 0.5,
        "warmup_epochs": 7.0,
        "base_lr": 0.5,
        "cycle": "triangular2",
        "cycles": 7,
        "drop_factor": 7.0,
        "grow_batch": 700,
        "batch_size": 7,
        "mirror_test": True,
        "seed": 7,
        "precision": "float32",
    }[field]
    trained(run, **FITTING.get(field, {}))
    with pytest.raises(Contradiction) as caught:
        config.inherit(run, {field: other})
    stored = getattr(Config(), field)
    assert f"{config.option(field)} {other} (run: {'default' if stored is None else stored})" in caught.value.message
    assert "--overwrite" in caught.value.fix


def test_trained_run_accepts_what_it_was_made_with_and_what_may_change(run: RunDir) -> None:
    trained(run, model="resnet9", lr=0.1)
    assert config.inherit(run, {"model": "resnet9", "lr": 0.1, "epochs": 120, "data": "moved"}).epochs == 120


def test_lr_auto_means_what_a_trained_run_has(run: RunDir) -> None:
    trained(run, lr=0.1)
    assert config.inherit(run, {"lr": "auto"}).lr == 0.1


def test_contradictions_do_not_matter_when_the_run_starts_anew(run: RunDir) -> None:
    trained(run, model="resnet9")
    assert config.inherit(run, {"model": "eva"}, trained=False).model == "eva"


@given(SETTINGS, SETTINGS)
def test_differences_are_the_fields_that_differ(a: dict[str, Any], b: dict[str, Any]) -> None:
    first, second = config.make(a), config.make(b)
    found = config.differences(first, second)
    assert msgspec.structs.replace(first, **{name: getattr(second, name) for name in found}) == second
    assert bool(found) == (first != second)


def test_two_data_sets_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name two data sets"):
        config.inherit(RunDir(tmp_path), {"dataset": "digits", "data": "images"})
