from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_room import Batch, batches, stream, train, twin
from tiny_data import TINY
from tiny_run import make_data

from evacli import config, memory
from evacli.engine import needs
from evacli.errors import ConfigError, MemoryShort
from evacli.training.learner import SMALLEST_BATCH, Learner, assemble

NETWORKS = Path(__file__).parent / "tiny_networks.py"
STATISTICS, TRANSFERRED = f"{NETWORKS}:statistics", f"{NETWORKS}:transferred"


def make(num_train: int = 50, **settings: Any) -> Learner:
    defaults = {"model": TINY, "batch_size": 8, "precision": "float32", "lr": 0.1, "cutout": 4, "crop": 1, "flip": True}
    return assemble(config.make(defaults | settings), make_data(num_train=num_train))


def same(some: list[Batch], others: list[Batch]) -> bool:
    pairs = zip(some, others, strict=True)
    return all((a == c).all() and (b == d).all() for (a, b), (c, d) in pairs)


@pytest.fixture(scope="module")
def learner() -> Learner:
    return make()


def test_batches_depend_on_seed_epoch_and_index_alone(learner: Learner) -> None:
    found = batches(learner, 3)
    assert len(found) == learner.batching.steps(0) == 7
    assert [len(labels) for _, labels in found] == [8] * 6 + [2]
    assert {images.dtype for images, _ in found} == {np.dtype(np.uint8)}
    assert same(found, batches(make(), 3))
    for first_batch in range(8):
        assert same(found[first_batch:], batches(learner, 3, first_batch))


def test_no_tuner_sleeps_through_the_end_of_an_epoch(learner: Learner) -> None:
    # It misses its signal in one epoch of twenty or so, too seldom to wait for here.
    assert stream(learner).options().autotune.enabled is False


def test_other_epochs_and_seeds_have_other_batches(learner: Learner) -> None:
    assert not same(batches(learner, 0), batches(learner, 1))
    assert not same(batches(learner, 0), batches(make(seed=1), 0))
    plain = [batches(make(cutout=0, crop=0, flip=False), epoch) for epoch in (0, 1)]
    assert not same(*plain)  # the order alone


def test_an_epoch_shows_every_image_once_with_its_label() -> None:
    learner = make(cutout=0, crop=0, flip=False)
    split = learner.data.train
    expected = sorted((image.tobytes(), label) for image, label in zip(split.images.array, split.labels, strict=True))
    for epoch in (0, 1):
        images, labels = map(np.concatenate, zip(*batches(learner, epoch), strict=True))
        found = ((image.tobytes(), label) for image, label in zip(images, labels, strict=True))
        assert sorted(found) == expected


def test_two_epochs_show_every_image_as_it_is_and_mirrored() -> None:
    learner = make(num_train=200, cutout=0, crop=0)
    plain = [image.tobytes() for image in learner.data.train.images.array]
    both = [image.tobytes() for image in learner.data.train.images.array[:, :, ::-1]]
    for epoch in (0, 1, 6):
        shown = [{i.tobytes() for images, _ in batches(learner, e) for i in images} for e in (epoch, epoch + 1)]
        assert all((a in shown[0]) != (b in shown[0]) for a, b in zip(plain, both, strict=True))
        assert all((a in shown[0]) == (b in shown[1]) for a, b in zip(plain, both, strict=True))
        assert 70 < sum(a in shown[0] for a in plain) < 130  # of 200, within four deviations


def test_the_same_image_is_augmented_anew_in_every_epoch_and_batch() -> None:
    learner = make(num_train=1, batch_size=1)
    seen = {images.tobytes() for epoch in range(20) for images, _ in batches(learner, epoch)}
    assert len(seen) > 15


def test_what_cutout_erases_is_exactly_zero_after_normalisation(learner: Learner) -> None:
    filled = np.full((1, 8, 8, 3), learner.engine._augmentation.fill, np.float32)
    for network in (learner.network, twin(learner)):
        assert not np.any(network.get_layer("normalise")(filled))


def test_pixels_enter_the_network_with_mean_zero_and_deviation_one(learner: Learner) -> None:
    pixels = np.asarray(learner.network.get_layer("normalise")(learner.data.train.images.array.astype(np.float32)))
    # The mean is rounded to a grey level, of some 74 that are one deviation.
    assert np.abs(pixels.mean((0, 1, 2))).max() < 0.5 / 70
    assert pixels.std((0, 1, 2)) == pytest.approx(1, abs=1e-3)


def test_open_settings_are_decided_by_the_images() -> None:
    decided = make(cutout=None, crop=None, flip=None).config
    assert (decided.cutout, decided.crop, decided.flip) == (4, 1, True)


@pytest.mark.parametrize(("option", "most"), [("cutout", 16), ("crop", 8)])
def test_settings_too_large_for_the_images_are_refused(option: str, most: int) -> None:
    make(**{option: most})
    with pytest.raises(ConfigError, match=rf"--{option} {most + 1}") as caught:
        make(**{option: most + 1})
    assert str(most) in caught.value.fix


def test_a_limit_of_batches_is_halved_until_a_step_fits_into_memory(monkeypatch, capsys) -> None:
    def size_of(batch_size: object, share: float) -> object:
        """Where there is `share` of what batches of 64 take."""
        monkeypatch.setattr(memory, "available", lambda: int(share * needed))
        return make(128, batch_size=batch_size).config.batch_size

    monkeypatch.setattr(needs, "GRAPHS", 0)
    monkeypatch.setattr(needs, "predicting", lambda *_: 0)
    needed = needs.training(make().network, 64)
    assert (size_of("up-to-64", 1.01), capsys.readouterr().err) == (64, "")
    assert size_of("up-to-64", 0.9) == 32
    assert "Batches of 64 take about" in (said := capsys.readouterr().err)
    assert "So they are of 32." in said
    assert size_of("up-to-64", 0.3) == 16
    assert size_of("up-to-64", 0.13) == SMALLEST_BATCH
    assert size_of(64, 0.9) == 64  # asked for: tried with a warning
    with pytest.raises(MemoryShort, match="in batches of 64 takes"):
        size_of(64, 0.3)


def test_same_configuration_gives_the_same_network(learner: Learner) -> None:
    again, other = make(), make(seed=1)
    pairs = list(zip(twin(learner).get_weights(), twin(again).get_weights(), strict=True))
    assert all((a == b).all() for a, b in pairs)
    assert any((a != b).any() for a, b in zip(twin(again).get_weights(), twin(other).get_weights(), strict=True))


@pytest.mark.parametrize("steps", [1, 5])
def test_synced_statistics_are_weighted_means_over_the_batches_seen(steps: int) -> None:
    learner = make(model=STATISTICS)
    used = train(learner, steps)
    learner.engine.sync(learner.network)
    pixels = [np.asarray(learner.network.get_layer("normalise")(images.astype(np.float32))) for images, _ in used]
    layer, fast, _ = learner.engine._statistics.fresh[0]
    assert fast.momentum == min(0.9, 1 - 3 / learner.batching.steps(0))
    weights = [fast.momentum ** (steps - 1 - i) for i in range(steps)]
    expected = np.average([batch.mean((0, 1, 2)) for batch in pixels], axis=0, weights=weights)
    assert np.asarray(layer.moving_mean) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    expected = np.average([batch.var((0, 1, 2)) for batch in pixels], axis=0, weights=weights)
    assert np.asarray(layer.moving_variance) == pytest.approx(expected, rel=1e-3)


def test_syncing_copies_everything_else_and_leaves_the_twin_alone() -> None:
    learner = make()
    train(learner, 3)
    before = twin(learner).get_weights()
    learner.engine.sync(learner.network)
    learner.engine.sync(learner.network)
    assert all((a == b).all() for a, b in zip(before, twin(learner).get_weights(), strict=True))
    moving = [v.path for v in learner.network.weights if "moving" in v.path]
    assert len(moving) == 2
    for variable, value in zip(learner.network.weights, before, strict=True):
        assert "moving" in variable.path or (variable.numpy() == value).all()


def test_prediction_on_fast_layers_is_that_of_the_network_after_every_sync() -> None:
    learner = make(model="airbench_small", precision="bfloat16")
    for _ in range(2):
        train(learner, 2)
        learner.engine.sync(learner.network)
        pixels = learner.data.train.images.array.astype(np.float32)
        said = learner.engine.predictor(learner.network)(learner.data.train.images.array)
        expected = learner.network.predict(pixels, verbose=0)
        assert np.ptp(expected, axis=0).max() > 0.01
        assert said == pytest.approx(expected, abs=1e-5)


def test_syncing_before_the_first_step_changes_nothing(learner: Learner) -> None:
    before = learner.network.get_weights()
    learner.engine.sync(learner.network)
    assert all((a == b).all() for a, b in zip(before, learner.network.get_weights(), strict=True))


def test_statistics_from_elsewhere_are_synced_as_they_are() -> None:
    learner = make(model=TRANSFERRED)
    assert learner.engine._statistics.fresh == []
    train(learner, 1)
    learner.engine.sync(learner.network)
    for variable, value in zip(learner.network.weights, twin(learner).get_weights(), strict=True):
        assert (variable.numpy() == value).all()


def test_statistics_of_a_constant_channel_stay_usable() -> None:
    learner = make(model=STATISTICS, cutout=0, crop=0)
    black = np.zeros((8, 8, 8, 3), np.uint8)
    for _ in range(20):
        twin(learner).train_on_batch(black, np.zeros(8, np.int32))
    learner.engine.sync(learner.network)
    assert (np.asarray(learner.engine._statistics.fresh[0][0].moving_variance) >= 0).all()


def test_weight_decay_is_decoupled_and_skips_batchnorm_and_biases() -> None:
    with_decay, without = make(weight_decay=0.1), make(weight_decay=0.0)
    start = twin(without).get_weights()
    for learner in (with_decay, without):
        train(learner, 1)
    decayed = 0
    for variable, initial, a, b in zip(
        twin(without).weights, start, twin(with_decay).get_weights(), twin(without).get_weights(), strict=True
    ):
        if initial.ndim < 2:
            assert (a == b).all(), variable.path
        else:
            decayed += 1
            # Loshchilov & Hutter: the weights lose learning rate x decay of themselves, beside the gradient step.
            assert a - b == pytest.approx(-0.1 * 0.1 * initial, abs=1e-6)
    assert decayed == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_cross_entropy_against_smoothed_labels(smoothing: float) -> None:
    learner = make(label_smoothing=smoothing)
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32) * 3
    labels = np.array([0, 1, 2, 2, 1])
    targets = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(targets * logs).sum(1).mean()
    assert float(twin(learner).loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_training_loss_has_the_networks_penalties_and_the_figures_have_not() -> None:
    learner = make(label_smoothing=0.1)
    images, labels = batches(learner)[0]
    found = twin(learner).test_on_batch(images, labels, return_dict=True)
    logits = np.asarray(twin(learner)(images.astype(np.float32), training=False))
    kernel = next(v.numpy() for v in twin(learner).weights if v.numpy().ndim == 4)
    assert found["loss"] == pytest.approx(
        float(twin(learner).loss(labels, logits)) + 1e-3 * (kernel**2).sum(), rel=1e-5
    )
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert found["cross_entropy"] == pytest.approx(-logs[np.arange(8), labels].mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())
