import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from any_settings import SETTINGS
from hypothesis import assume, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from evacli import config
from evacli.config import Config
from evacli.errors import ConfigError, Contradiction, RunError
from evacli.run import config_file
from evacli.run.directory import RunDir


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
    config_file.write(run, config.make(settings))
    run.checkpoint.touch()
    return run


@given(SETTINGS)
@settings_of_hypothesis(max_examples=50)
def test_what_is_written_is_plain_json_and_read_back(shared: RunDir, settings: dict[str, Any]) -> None:
    made = config.make(settings)
    config_file.write(shared, made)
    document = json.loads(shared.config.read_text(encoding="utf-8"))
    assert config.differences(config_file.read(shared), made) == []
    assert list(document) == list(Config.__struct_fields__)
    if settings.get("data") is not None:
        settings = settings | {"dataset": None}
    assert {name: document[name] for name in settings} == settings


@given(st.binary())
def test_garbage_on_disk_is_one_clean_error(shared: RunDir, content: bytes) -> None:
    assume(content.strip() != b"{}")  # all settings have their defaults
    shared.config.write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json is not an evacli configuration"):
        config_file.read(shared)


@pytest.mark.slow
@settings_of_hypothesis(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(Config.__struct_fields__) | st.text(),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
    )
)
def test_any_json_object_on_disk_is_a_configuration_or_one_clean_error(shared: RunDir, values: dict[str, Any]) -> None:
    shared.config.write_text(json.dumps(values))
    with suppress(RunError):
        assert isinstance(config_file.read(shared), Config)


@pytest.mark.parametrize("content", [b"[" * 100_000, b" " * (17 * 2**20), b"1" * 10_000, b'{"epochs": 1e999}'])
def test_documents_meant_to_hurt_are_one_clean_error(run: RunDir, content: bytes) -> None:
    run.config.write_bytes(content)
    with pytest.raises(RunError, match="is not an evacli configuration"):
        config_file.read(run)


@pytest.mark.parametrize("name", ["model", "data"])
@pytest.mark.parametrize("path", ["a\0.py:build", "\ud800.py:build"])
def test_what_cannot_be_a_path_is_refused(run: RunDir, name: str, path: str) -> None:
    run.config.write_text(json.dumps({name: path}))
    with pytest.raises(RunError, match="is not an evacli configuration"):
        config_file.read(run)
    with pytest.raises(ConfigError, match=f"--{name} .*has characters that no path can have"):
        config.make({name: path})


def test_run_without_configuration(run: RunDir) -> None:
    assert config_file.read(run) is None
    assert config_file.inherit(run, {}) == Config()


def test_settings_go_on_top_of_what_the_run_has_stored(run: RunDir) -> None:
    config_file.write(run, config.make({"model": "resnet9", "batch_size": 64}))
    assert config_file.inherit(run, {"batch_size": 32}) == config.make({"model": "resnet9", "batch_size": 32})


def test_named_dataset_replaces_the_runs_own_data(run: RunDir) -> None:
    config_file.write(run, config.make({"data": "images"}))
    assert config_file.inherit(run, {"dataset": "digits"}).data is None
    assert config_file.inherit(run, {}).data == "images"


def test_paths_are_stored_from_the_root_and_mean_the_same_in_any_folder(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    for name in "net.py", "images":
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    made = config_file.inherit(run, {"model": "./net.py:wide", "data": Path("images")})
    assert (made.model, made.data) == (f"{tmp_path}/net.py:wide", f"{tmp_path}/images")
    trained(run, model="net.py", data="images", dropout="own")
    monkeypatch.chdir(tmp_path / "other")
    for settings in {}, {"model": "../net.py:build"}, {"model": f"{tmp_path}/net.py", "data": "../images"}:
        again = config_file.inherit(run, settings)
        assert config.differences(
            again, config.make({"model": f"{tmp_path}/net.py", "data": f"{tmp_path}/images"})
        ) == ["dropout"]
        assert config_file.inherit(run, settings, trained=False).dropout == "own"
    with pytest.raises(Contradiction, match=r"--model eva \(run: \.\./net\.py\)"):
        config_file.inherit(run, {"model": "eva"})


def test_a_data_set_is_named_once(run: RunDir) -> None:
    config_file.write(run, config.make({"data": "images"}))
    document = json.loads(run.config.read_text(encoding="utf-8"))
    assert (document["dataset"], document["data"]) == (None, "images")
    run.config.write_text(json.dumps(document | {"dataset": "digits"}))  # as earlier versions wrote it
    assert config_file.read(run) == config.make({"data": "images"})
    run.config.write_text(json.dumps({"dataset": None}))
    assert config_file.read(run) == Config()


def test_another_optimizer_is_not_bound_by_what_the_last_one_was_told(run: RunDir) -> None:
    config_file.write(run, config.make({"momentum": 0.5, "schedule": "step", "drop_factor": 5.0}))
    changed = config_file.inherit(run, {"optimizer": "adam", "schedule": "cosine"})
    assert (changed.momentum, changed.drop_factor) == (None, None)
    assert config_file.inherit(run, {"optimizer": "nesterov"}).momentum == 0.5


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
    "weights": {"model": "mobilenet_v2"},
    **{name: {"model": "mobilenet_v2", "weights": "imagenet"} for name in config.FINE_TUNING},
}


@pytest.mark.parametrize("field", sorted(set(Config.__struct_fields__) - config.CHANGEABLE))
def test_trained_run_refuses_every_other_setting_with_the_difference(run: RunDir, field: str) -> None:
    other = {
        "test_split": 0.5,
        "val_split": 0.5,
        "image_size": "7",
        "resize": "pad",
        "class_order": "characters",
        "scale": 0.5,
        "jitter": 0.5,
        "rand_augment": 7.0,
        "mixup": 0.5,
        "class_weights": "balanced",
        "limit_train": 7,
        "limit_test": 7,
        "model": "resnet9",
        "weights": "imagenet",
        "freeze_until": "pool",
        "views": 7,
        "backbone_rate": 0.5,
        "cutout": 7,
        "crop": 7,
        "crop_border": "reflect",
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
        "tta": True,
        "seed": 7,
        "precision": "float32",
    }[field]
    trained(run, **FITTING.get(field, {}))
    with pytest.raises(Contradiction) as caught:
        config_file.inherit(run, {field: other})
    stored = getattr(Config(), field)
    assert f"{config.option(field)} {other} (run: {'default' if stored is None else stored})" in caught.value.message
    assert "--overwrite" in caught.value.fix


def test_trained_run_accepts_what_it_was_made_with_and_what_may_change(run: RunDir) -> None:
    trained(run, model="resnet9", lr=0.1)
    assert config_file.inherit(run, {"model": "resnet9", "lr": 0.1, "epochs": 120, "data": "moved"}).epochs == 120


def test_lr_auto_means_what_a_trained_run_has(run: RunDir) -> None:
    trained(run, lr=0.1)
    assert config_file.inherit(run, {"lr": "auto"}).lr == 0.1


def test_contradictions_do_not_matter_when_the_run_starts_anew(run: RunDir) -> None:
    trained(run, model="resnet9")
    assert config_file.inherit(run, {"model": "eva"}, trained=False).model == "eva"


def test_two_data_sets_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name two data sets"):
        config_file.inherit(RunDir(tmp_path), {"dataset": "digits", "data": "images"})


def test_precision_auto_means_what_a_trained_run_has(run: RunDir) -> None:
    trained(run, precision="float32")
    assert config_file.inherit(run, {"precision": "auto"}).precision == "float32"


def test_a_limit_means_the_batch_size_that_a_trained_run_has_below_it(run: RunDir) -> None:
    trained(run, batch_size=64)
    assert config_file.inherit(run, {"batch_size": "up-to-128"}).batch_size == 64
    for other in ("up-to-32", 128, "full"):
        with pytest.raises(Contradiction, match=f"--batch-size {other} \\(run: 64"):
            config_file.inherit(run, {"batch_size": other})


def test_another_network_is_not_bound_by_the_dropout_of_the_last_one(run: RunDir) -> None:
    trained(run, model="eva", dropout="none", cutout=16)
    inherited = config_file.inherit(run, {"model": "resnet9"}, trained=False)
    assert (inherited.dropout, inherited.cutout) == (None, 16)
    assert config_file.inherit(run, {"model": "eva"}, trained=False).dropout == "none"
    assert config_file.inherit(run, {"model": "resnet9", "dropout": 0.5}, trained=False).dropout == 0.5


@pytest.mark.parametrize("other", [{"dataset": "digits"}, {"data": "elsewhere"}])
def test_other_images_are_not_bound_by_the_augmentation_of_the_last_ones(run: RunDir, other: dict[str, Any]) -> None:
    trained(run, data="images", cutout=16, crop=4, flip=True, dropout="none")
    inherited = config_file.inherit(run, other, trained=False)
    assert (inherited.cutout, inherited.crop, inherited.flip, inherited.dropout) == (None, None, None, "none")
    assert config_file.inherit(run, {"data": "moved"}).flip is True  # a trained run: the same images elsewhere
