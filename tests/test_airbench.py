"""The network that learns fast, and the weights that it starts from."""

import keras
import numpy as np
import pytest
from engine_room import train, twin
from numpy.typing import NDArray
from tiny_run import make_data

from evacli import config, models
from evacli.data.images import InMemory
from evacli.errors import ModelError
from evacli.models import airbench
from evacli.training.learner import assemble


def correlated_images(n: int = 300, side: int = 12) -> NDArray[np.uint8]:
    """Noise that is smooth and nearly grey, as photographs are."""
    noise = np.random.default_rng(0).normal(size=(n, side + 2, side + 2, 3))
    smooth = sum(noise[:, i : i + side, j : j + side] for i in range(3) for j in range(3))
    return np.clip(128 + 12 * (smooth + 2 * smooth.mean(axis=-1, keepdims=True)), 0, 255).astype(np.uint8)


def built(images: NDArray[np.uint8]) -> keras.Model:
    mean, std = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    model = models.build("airbench", images.shape[1:], 10, mean.tolist(), std.tolist())
    models.start("airbench", model, InMemory(images))
    return model


def outputs(model: keras.Model, layer: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(images.astype(np.float32)))


def test_it_has_the_filters_of_airbench94() -> None:
    model = models.build("airbench", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    kernels = [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]
    widths = [(24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)]
    assert kernels == [(2, 2, 3, 24), *((3, 3, *w) for w in widths), (256, 10)]
    assert [layer.output.shape[1] for layer in model.layers if "pool" in layer.name][:3] == [15, 7, 3]


def test_the_whitening_makes_patches_uncorrelated() -> None:
    images = correlated_images()
    whitened = outputs(built(images), airbench.WHITENING, images).reshape(-1, 24)
    covariance = whitened.T @ whitened / len(whitened)
    identity = np.eye(12)
    # Not quite 1 where a direction varies so little that the smallest variance is felt.
    assert np.abs(covariance - np.block([[identity, -identity], [-identity, identity]])).max() < 0.02
    raw = images.reshape(-1, 3).astype(float)
    assert np.corrcoef(raw.T)[0, 1] > 0.5  # they were correlated


def test_the_whitening_looks_at_images_from_all_over_the_set() -> None:
    number = models.START_PIXELS // 32**2
    grey, others = np.full((number, 32, 32, 3), 128, np.uint8), correlated_images(number, 32)
    whitened = outputs(built(np.concatenate([grey, others])), airbench.WHITENING, others[:100])
    assert 1 < whitened.var() < 3  # twice what it is where no image is grey


def test_large_images_are_fewer_to_start_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NDArray[np.uint8]] = []
    monkeypatch.setattr(airbench, "start", lambda model, images: seen.append(images))
    models.start("airbench", keras.Model(), InMemory(np.broadcast_to(np.zeros((), np.uint8), (6000, 64, 64, 3))))
    models.start("airbench", keras.Model(), InMemory(np.zeros((2, 3000, 3000, 3), np.uint8)))
    assert [len(images) for images in seen] == [1250, 1]


def test_other_convolutions_start_by_handing_on_their_inputs() -> None:
    images = correlated_images(20)
    model = built(images)
    before, after = (outputs(model, layer, images) for layer in ("whitening_gelu", "block1_conv1"))
    np.testing.assert_allclose(after[..., :24], before, atol=1e-6)
    kernel = model.get_layer("block1_conv1").get_weights()[0][..., 24:]
    assert kernel.std() == pytest.approx((3 * 9 * 24) ** -0.5, rel=0.02)  # He et al. 2015, as PyTorch has it


def test_training_starts_there_and_leaves_the_whitening_alone() -> None:
    settings = {"model": "airbench", "precision": "float32", "optimizer": "muon", "lr": 0.01, "batch_size": 32}
    learner = assemble(config.make(settings), make_data(num_train=64))
    images = learner.data.train.images.array
    normalised = np.asarray(learner.network.get_layer("normalise")(images.astype(np.float32)))
    expected = airbench.whitening(normalised)
    before = twin(learner).get_weights()
    train(learner, 2, lr=0.01)
    for weights in (before, twin(learner).get_weights()):
        np.testing.assert_array_equal(weights[0], expected)
    assert not np.array_equal(before[1], twin(learner).get_weights()[1])


def test_images_of_one_pixel_are_refused() -> None:
    with pytest.raises(ModelError, match="1x5 is too small"):
        models.build("airbench", (1, 5, 3), 10, (0, 0, 0), (1, 1, 1))


def test_the_start_of_other_networks_is_theirs() -> None:
    images = correlated_images(4, 8)
    model = models.build("eva", (8, 8, 3), 10, (0, 0, 0), (1, 1, 1))
    before = model.get_weights()
    models.start("eva", model, InMemory(images))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
