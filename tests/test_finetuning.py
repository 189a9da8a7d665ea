"""Backbones, the weights that others have trained for them, and fine-tuning behind frozen layers."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from run_state import state
from stops import stop_in_step

from evacli import config, models, paths, recipes
from evacli.catalogue.networks import NETWORKS
from evacli.config import Config
from evacli.data import cache
from evacli.engine import optimizers, trunk
from evacli.errors import ConfigError, Contradiction, ModelError, Stopped
from evacli.evaluation import EvaluatedRun, open_run
from evacli.models import backbones, pretrained
from evacli.run import summary, trained
from evacli.run.directory import RunDir
from evacli.training import finetuning
from evacli.training.train import train

SIDE = 32
UNTIL = "block_16_project_BN"  # few layers are left, which are traced in a moment
BACKBONES = [name for name, network in NETWORKS.items() if network.pretrained]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """What evacli builds, with random weights."""
    return models.build("mobilenet_v2", (SIDE, SIDE, 3), 10, (0, 0, 0), (1, 1, 1))


def of_layers(model: keras.Model, layers: Any) -> list[Any]:
    return [weight for layer in layers for weight in model.get_layer(layer.name).get_weights()]


def same(some: list[Any], others: list[Any]) -> bool:
    return all((a == b).all() for a, b in zip(some, others, strict=True))


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVACLI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def bare() -> keras.Model:
    """A backbone of plain Keras, with the statistics of one that has been trained."""
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2(input_shape=(SIDE, SIDE, 3), include_top=False, weights=None)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.1, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def weights(bare: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    bare.save_weights(path)
    return path


@pytest.fixture(scope="module")
def settings(weights: Path, digits: Path) -> dict[str, Any]:
    more = {"limit_train": 50, "limit_test": 20, "val_split": 0.2, "batch_size": 16, "epochs": 2}
    return {"weights": weights, "data": digits, "image_size": SIDE, "freeze_until": UNTIL, "views": 2} | more


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    train(path, **settings)
    return path


# -- backbones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "names"),
    [("tf", ("mobilenet_v2", "mobilenet_v3_small", "resnet50_v2")), ("torch", ("efficientnet_v2_b0", "convnext_tiny"))],
)
def test_raw_pixels_become_what_keras_would_make_of_them(mode: str, names: tuple[str, ...]) -> None:
    pixels = np.arange(768, dtype=np.float32).reshape(1, 16, 16, 3) % 256
    expected = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
    for name in names:
        np.testing.assert_allclose(models._normalise(*NETWORKS[name].pretrained.colours)(pixels), expected, atol=1e-5)


def test_trunk_and_tail_share_the_layers_of_the_network_and_compute_the_same(network: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    for layer in (NETWORKS["mobilenet_v2"].pretrained.cut, "pool"):
        front, tail = backbones.cut_at(network, layer)
        assert same([network.predict_on_batch(pixels)], [tail.predict_on_batch(front.predict_on_batch(pixels))])
        assert {id(w) for w in front.weights} | {id(w) for w in tail.weights} == {id(w) for w in network.weights}


@pytest.mark.parametrize("layer", ["block_2_expand", "block_99_add", "scores"])
def test_a_layer_that_does_not_part_the_network_is_refused(network: keras.Model, layer: str) -> None:
    with pytest.raises(ModelError, match=f"--freeze-until {layer}: the network mobilenet_v2"):
        backbones.cut_at(network, layer)


def test_images_that_are_too_small_for_a_backbone_are_refused() -> None:
    with pytest.raises(ModelError, match="31x40 is too small"):
        models.build("mobilenet_v2", (31, 40, 3), 2, (0, 0, 0), (1, 1, 1))


# -- rates -------------------------------------------------------------------------------------------------------------


def test_earlier_layers_learn_at_smaller_rates(network: keras.Model) -> None:
    factors = backbones.rate_factors(network, 0.1)
    names = list(factors)
    assert (names[0], names[-1]) == ("Conv1", "Conv_1_bn")
    assert "scores" not in factors
    np.testing.assert_allclose(list(factors.values()), np.geomspace(0.01, 0.1, len(names)))


@pytest.mark.parametrize("optimizer", ["sgdw", "adamw", "muon"])
def test_each_variable_moves_and_decays_at_its_own_rate(optimizer: str) -> None:
    """Compared with a plain optimizer for each of them, at that rate."""
    rng, shape = np.random.default_rng(0), (4, 3)
    start, factors = rng.normal(size=(3, *shape)).astype(np.float32), (1.0, 0.3, 0.09)
    gradients = rng.normal(size=(5, 3, *shape)).astype(np.float32)

    def variables() -> list[Any]:
        return [keras.Variable(value) for value in start]

    def made(factors: tuple[float, ...] = ()) -> tuple[Any, list[Any]]:
        found = variables()
        return optimizers.make(Config(optimizer=optimizer, lr=0.05, schedule="linear"), found, 1, factors), found

    own, moved = made(factors)
    for step in gradients:
        own.apply(list(step))
    for place, factor in enumerate(factors):
        plain, expected = made()
        plain.learning_rate = 0.05 * factor
        for step in gradients:
            plain.apply(list(step))
        np.testing.assert_allclose(moved[place].numpy(), expected[place].numpy(), rtol=1e-5)


# -- weights -----------------------------------------------------------------------------------------------------------


def test_weights_come_in_any_file_of_keras(
    network: keras.Model, bare: keras.Model, weights: Path, tmp_path: Path
) -> None:
    x = keras.Input((SIDE, SIDE, 3))
    other = keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(bare(x))))
    bare.save(tmp_path / "bare.h5")
    other.save(tmp_path / "whole.h5")
    other.save(tmp_path / "whole.keras")
    shutil.copy(weights, tmp_path / "without-a-name")
    for path in tmp_path.iterdir():
        network.set_weights([np.zeros_like(weight) for weight in network.get_weights()])
        pretrained.fill(network, path)
        assert same(of_layers(network, backbones.backbone_layers(network))[: len(bare.weights)], bare.get_weights())


def links(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def elsewhere(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/a", (4,), "f4", external=[("/dev/zero", 0, 16)])


def bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/a", (2**31,), "f4", compression="gzip")


def text(path: Path) -> None:
    path.write_text("weights")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")


def nothing(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["conv/kernel"] = np.zeros(3)


def of_another(path: Path) -> None:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(path)


HOSTILE = {
    links: "links to other places",
    elsewhere: "lie in other files",
    bomb: "larger than the file",
    text: "no file of weights",
    archive: "damaged",
    nothing: "no weights for the layer",
    of_another: "does not have the weights of mobilenet_v2",
}


@pytest.mark.parametrize("write", HOSTILE, ids=lambda write: write.__name__)
def test_a_file_that_is_hostile_or_of_another_network_is_refused(
    network: keras.Model, write: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.weights.h5"
    write(path)
    before = network.get_weights()
    with pytest.raises(ModelError, match=HOSTILE[write]) as error:
        pretrained.fill(network, path)
    assert "a.weights.h5" in error.value.message
    assert "\n" not in error.value.message + error.value.fix
    assert same(network.get_weights(), before)


def test_without_a_network_a_line_says_where_the_file_must_lie(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_file(name: str, *_: Any, **__: Any) -> None:
        raise Exception(f"URL fetch failure on {name}: None -- no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ModelError, match="Cannot download the weights of convnext_tiny") as error:
        pretrained.start(network, Config(model="convnext_tiny", weights="imagenet"))
    assert f"Put convnext_tiny_notop.h5 into {paths.shown(str(tmp_path / 'models'))}" in error.value.fix
    assert "--weights PATH" in error.value.fix


def test_settings_of_fine_tuning_need_weights_and_a_network_that_has_some() -> None:
    for settings in ({"views": 2}, {"freeze_until": "all"}, {"backbone_rate": 0.1}):
        with pytest.raises(ConfigError, match="means nothing to random weights"):
            config.make(settings)
    with pytest.raises(ConfigError, match="--model eva takes none"):
        config.make({"weights": "imagenet"})
    tuned = config.make({"weights": "imagenet", "model": "mobilenet_v2", "freeze_until": "all"})
    assert config.make({"weights": "none"}, tuned).freeze_until is None


def test_weights_bring_the_recipe_for_fine_tuning_to_a_new_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    found = recipes.implied(run, {"weights": "imagenet", "epochs": 3})
    assert found == recipes.recipe("finetune") | {"epochs": 3}
    assert recipes.implied(run, {"epochs": 3}) == {"epochs": 3}
    assert recipes.implied(run, {"weights": "none"}) == {"weights": "none"}


# -- trainings ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(whole: Path) -> EvaluatedRun:
    return open_run(trained.read(RunDir(whole)))


def test_frozen_layers_keep_their_bits_and_all_others_learn(
    network: keras.Model, opened: EvaluatedRun, weights: Path
) -> None:
    pretrained.fill(network, weights)
    learnt = opened.network
    front, tail = backbones.cut_at(network, UNTIL)
    norms = [layer for layer in tail.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    for layer in (*front.layers, *norms):
        assert same(learnt.get_layer(layer.name).get_weights(), layer.get_weights())
    for name in ("Conv_1", "scores"):
        assert not same(learnt.get_layer(name).get_weights(), network.get_layer(name).get_weights())


def test_a_run_says_where_its_weights_come_from(whole: Path, weights: Path) -> None:
    origin = summary.read(RunDir(whole)).pretrained
    assert (origin.weights, Path(origin.source)) == (weights.name, weights)
    assert len(origin.sha256) == 64


def test_what_was_measured_is_what_the_saved_network_says(opened: EvaluatedRun) -> None:
    assert opened.test.accuracy == pytest.approx(opened.trained.test_accuracy)


def test_a_run_that_was_interrupted_in_each_phase_equals_the_other_to_the_bit(
    whole: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVACLI_CACHE", str(tmp_path / "cache"))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trunk, "_fill", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", **settings)
    assert not cache.entries()
    with pytest.raises(Stopped):
        train(tmp_path / "parts", **settings, stop_when=stop_in_step(1))
    cache.clear()
    train(tmp_path / "parts", **settings)
    assert state(tmp_path / "parts") == state(whole)


def test_a_run_does_not_go_on_from_other_weights(
    whole: Path, settings: dict[str, Any], bare: keras.Model, tmp_path: Path
) -> None:
    other = tmp_path / "other.weights.h5"
    bare.set_weights([weight * 1.01 for weight in bare.get_weights()])
    bare.save_weights(other)
    with pytest.raises(ModelError, match="not the weights that the run began with"):
        train(whole, **settings | {"weights": other, "epochs": 3})
    with pytest.raises(Contradiction, match="--freeze-until all"):
        train(whole, **settings | {"freeze_until": "all"})


@pytest.mark.parametrize(
    ("numbers", "epochs", "space", "expected"),
    [(100, 8, 10**6, 4), (100, 3, 10**6, 3), (100, 8, 400, 2), (100, 8, 0, 1)],
)
def test_views_fit_into_the_space_that_there_is_and_are_all_seen(
    numbers: int, epochs: int, space: int, expected: int
) -> None:
    assert finetuning.views(numbers, epochs, space) == expected


def test_what_does_not_fit_is_frozen_up_to_a_later_layer(network: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 32 pixels a side, two are left behind block 12, in 96 channels; behind the next stride one, at last in 160."""
    tuned = config.make({"weights": "imagenet", "model": "mobilenet_v2", "epochs": 8})
    for space, until, views in (
        (4 * 10 * 2 * 2 * 96 * 2, "block_12_add", 4),
        (10 * 2 * 2 * 96 * 2, "block_12_add", 1),
        (10 * 2 * 2 * 96 * 2 - 1, "block_13_project", 2),
        (10 * 160 * 2, "block_13_project", 1),
        (0, "all", 1),
    ):
        monkeypatch.setattr(finetuning, "room", lambda space=space: space)
        decided = finetuning.decide(tuned, network, 10)
        assert (decided.freeze_until, decided.views) == (until, views)
    named = config.make({"freeze_until": UNTIL}, tuned)
    assert finetuning.decide(named, network, 10).freeze_until == UNTIL


def test_the_cache_has_the_room_of_its_limit_where_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVACLI_CACHE", str(tmp_path / "to" / "come"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9 * 2**30, 6 * 2**30, 3 * 2**30))
    for limit, room in (("2", 2 * 2**30), ("5", 3 * 2**30)):
        monkeypatch.setenv("EVACLI_CACHE_GB", limit)
        assert cache.room() == room
