"""Each update rule for three steps against its formula, written out in NumPy from the papers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from engine_room import dealt, twin
from numpy.typing import NDArray
from tiny_data import TINY
from tiny_run import make_data

from evacli import config
from evacli.backend import keras, tf
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.engine import hyperparameters, optimizers
from evacli.training.learner import assemble

Array = NDArray[np.float64]
Rule = Callable[[Array, list[Array], float], Iterator[Array]]

LR, STEPS = 0.1, 3
RNG = np.random.default_rng(0)
KERNEL, BIAS = RNG.normal(size=(3, 3, 4, 6)), RNG.normal(size=6)
GRADIENTS = [RNG.normal(size=KERNEL.shape) for _ in range(STEPS)]


def sgd(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    for g in gradients:
        w = w - lr * g
        yield w


def momentum(w: Array, gradients: list[Array], lr: float, mu: float = 0.9, ahead: bool = False) -> Iterator[Array]:
    v = np.zeros_like(w)
    for g in gradients:
        v = mu * v - lr * g
        w = w + (mu * v - lr * g if ahead else v)
        yield w


def nesterov(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    yield from momentum(w, gradients, lr, ahead=True)


def adagrad(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    squares = np.full_like(w, 0.1)  # Keras begins there
    for g in gradients:
        squares = squares + g**2
        w = w - lr * g / np.sqrt(squares + 1e-7)
        yield w


def adadelta(w: Array, gradients: list[Array], lr: float, rho: float = 0.95, eps: float = 1e-7) -> Iterator[Array]:
    squares, moves = np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        squares = rho * squares + (1 - rho) * g**2
        move = -np.sqrt(moves + eps) / np.sqrt(squares + eps) * g
        moves = rho * moves + (1 - rho) * move**2
        w = w + lr * move
        yield w


def rmsprop(w: Array, gradients: list[Array], lr: float, rho: float = 0.9) -> Iterator[Array]:
    squares = np.zeros_like(w)
    for g in gradients:
        squares = rho * squares + (1 - rho) * g**2
        w = w - lr * g / np.sqrt(squares + 1e-7)
        yield w


def adam(w: Array, gradients: list[Array], lr: float, decay: float = 0.0) -> Iterator[Array]:
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        w = w - lr * decay * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        # Keras' epsilon is the "epsilon hat" at the end of section 2 of Kingma & Ba.
        w = w - lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
        yield w


def adamw(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    yield from adam(w, gradients, lr, decay=0.01)


def sgdw(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    v = np.zeros_like(w)
    for g in gradients:
        v = 0.9 * v - lr * g
        w = w - lr * 0.02 * w + v
        yield w


def lion(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    m = np.zeros_like(w)
    for g in gradients:
        w = w - lr * 0.01 * w
        w = w - lr * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
        yield w


def muon(w: Array, gradients: list[Array], lr: float) -> Iterator[Array]:
    shape, m = w.shape, np.zeros((36, 6))
    for g in gradients:
        g = g.reshape(36, 6)
        m = 0.95 * m + g
        update = orthogonal(g + 0.95 * m) * 0.2 * np.sqrt(36)
        w = w - lr * 0.01 * w - lr * update.reshape(shape)
        yield w


def orthogonal(x: Array) -> Array:
    """Five Newton-Schulz steps of Jordan et al., on the singular values: x -> 3.4445 x - 4.775 x^3 + 2.0315 x^5."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / np.linalg.norm(x)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return np.asarray(u * s @ vt)


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, adamw, sgdw, muon, lion)
}


def make(name: str, variables: list[Any], **settings: Any) -> Any:
    # Under a schedule that leaves momentum alone.
    return optimizers.make(config.make({"optimizer": name, "lr": LR, "schedule": "constant"} | settings), variables)


def steps(name: str, **settings: Any) -> list[NDArray[np.float32]]:
    """The kernel after each step."""
    kernel = keras.Variable(KERNEL.astype(np.float32))
    optimizer, found = make(name, [kernel], **settings), []
    for gradient in GRADIENTS:
        optimizer.apply([tf.constant(gradient, tf.float32)], [kernel])
        found.append(kernel.numpy().copy())
    return found


def test_every_method_has_a_rule_here() -> None:
    assert set(RULES) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", RULES)
def test_three_steps_follow_the_formula(name: str) -> None:
    expected = list(RULES[name](KERNEL, GRADIENTS, LR))
    # Newton-Schulz in float32 multiplies its rounding.
    tolerance = 3e-3 if name == "muon" else 2e-5
    for found, wanted in zip(steps(name), expected, strict=True):
        assert np.abs(found - wanted).max() < tolerance


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (1, 1, 4, 60), (3, 3, 8, 72)])
def test_muon_orthogonalises_tall_wide_and_square_matrices(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * np.exp(2 * rng.normal(size=shape[-1]))  # singular values of many sizes
    found = make("muon", [keras.Variable(np.ones(shape, np.float32))]).zeropower_via_newtonschulz5(
        tf.constant(x, tf.float32), 5
    )
    expected = orthogonal(x.reshape(-1, shape[-1])).reshape(shape)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_muon_leaves_biases_and_the_scores_to_adam_at_four_times_the_rate() -> None:
    shapes = [(3, 3, 4, 6), (6,), (6, 5)]  # a convolution, its bias, and what gives the scores
    variables = [keras.Variable(np.ones(shape, np.float32)) for shape in shapes]
    gradients = [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(shapes)]
    optimizer = make("muon", variables)
    optimizer.apply([tf.constant(g, tf.float32) for g in gradients], variables)
    assert not {id(v) for v in variables} & {id(v) for v in optimizer.variables}  # a checkpoint holds each once
    kernel, bias, scores = (v.numpy() for v in variables)
    (expected,) = muon(np.ones((3, 3, 4, 6)), gradients[:1], LR)
    assert np.abs(kernel - expected).max() < 3e-3
    (expected,) = adam(np.ones(6), gradients[1:2], 4 * LR)
    assert np.abs(bias - expected).max() < 2e-5
    (expected,) = adam(np.ones((6, 5)) * (1 - LR * 0.01), gradients[2:], 4 * LR)
    assert np.abs(scores - expected).max() < 2e-5


@pytest.mark.parametrize(("name", "expected"), [("adamw", 0.9), ("lion", 0.9), ("sgdw", 0.0), ("rmsprop", 0.0)])
def test_inertia_is_that_of_methods_with_a_beta_1(name: str, expected: float) -> None:
    assert hyperparameters.inertia(config.make({"optimizer": name})) == expected


@pytest.mark.parametrize(
    ("name", "settings", "rule"),
    [
        ("momentum", {"momentum": 0.5}, lambda: momentum(KERNEL, GRADIENTS, LR, mu=0.5)),
        ("momentum", {"momentum": 0.0}, lambda: sgd(KERNEL, GRADIENTS, LR)),
        ("rmsprop", {"rho": 0.5}, lambda: rmsprop(KERNEL, GRADIENTS, LR, rho=0.5)),
        ("adadelta", {"rho": 0.5, "epsilon": 0.1}, lambda: adadelta(KERNEL, GRADIENTS, LR, rho=0.5, eps=0.1)),
        ("adam", {"weight_decay": 0.3}, lambda: adam(KERNEL, GRADIENTS, LR, decay=0.3)),
    ],
)
def test_hyperparameters_are_obeyed(name: str, settings: dict[str, Any], rule: Callable[[], Iterator[Array]]) -> None:
    for found, wanted in zip(steps(name, **settings), rule(), strict=True):
        assert found == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("name", [name for name, method in OPTIMIZERS.items() if method.weight_decay])
def test_decay_spares_what_has_no_matrix(name: str) -> None:
    moved = []
    for decay in (0.0, 0.5):
        bias = keras.Variable(BIAS.astype(np.float32))
        make(name, [bias], weight_decay=decay).apply([tf.constant(np.ones(6), tf.float32)], [bias])
        moved.append(bias.numpy().copy())
    assert (moved[0] == moved[1]).all()
    assert (moved[0] != BIAS.astype(np.float32)).all()


def test_momentum_can_move_without_a_new_trace() -> None:
    kernel = keras.Variable(KERNEL.astype(np.float32))
    made = config.make({"optimizer": "momentum", "schedule": "one-cycle", "lr": LR})
    assert optimizers.cycled(made) == "momentum"
    optimizer, traces = optimizers.make(made, [kernel]), []

    @tf.function
    def apply(gradient: Any) -> None:
        traces.append(1)
        optimizer.apply([gradient], [kernel])

    w, v = KERNEL, np.zeros_like(KERNEL)
    for gradient, mu in zip(GRADIENTS, (0.95, 0.5, 0.85), strict=True):
        optimizer.momentum.assign(mu)
        apply(tf.constant(gradient, tf.float32))
        v = mu * v - LR * gradient
        w = w + v
    assert np.abs(kernel.numpy() - w).max() < 2e-5
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "momentum"),
        ({"momentum": 0.9}, None),
        ({"schedule": "cosine"}, None),
        ({"optimizer": "adam"}, "beta_1"),
        ({"optimizer": "sgd"}, None),
    ],
)
def test_momentum_cycles_under_one_cycle_unless_it_is_given(settings: dict[str, Any], name: str | None) -> None:
    assert optimizers.cycled(config.make(settings)) == name


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0])
def test_noise_has_the_variance_of_its_formula(eta: float) -> None:
    start = np.zeros((3, 3, 50, 60), np.float32)
    kernel, bias = keras.Variable(start), keras.Variable(np.zeros(1000, np.float32))
    optimizer = make("sgd", [kernel, bias], gradient_noise=eta, lr=1.0)
    before, draws = start, []
    for _ in range(4):
        optimizer.apply([tf.zeros(start.shape), tf.zeros(1000)], [kernel, bias])
        draws.append(before - kernel.numpy())
        before = kernel.numpy().copy()
    for t, noise in enumerate(draws):
        variance = eta / (1 + t) ** 0.55
        # The variance of n draws deviates by sqrt(2 / n) of itself, their mean by sqrt(variance / n).
        assert noise.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / noise.size))
        assert abs(noise.mean()) < 5 * np.sqrt(variance / noise.size)
    assert abs(np.corrcoef(draws[0].ravel(), draws[1].ravel())[0, 1]) < 0.05


def test_noise_is_another_for_each_variable_and_seed_and_the_same_again() -> None:
    def draw(seed: int) -> NDArray[np.float32]:
        twins = [keras.Variable(np.zeros(100, np.float32)) for _ in range(2)]
        make("sgd", twins, gradient_noise=1.0, seed=seed).apply([tf.zeros(100)] * 2, twins)
        return np.stack([twin.numpy() for twin in twins])

    assert np.isfinite(draw(2**31 - 1)).all()
    first, again, other = draw(0), draw(0), draw(1)
    assert (first == again).all()
    assert (first[0] != first[1]).all()
    assert (first != other).all()


def weights_after_an_epoch(optimizer: str, **settings: Any) -> list[NDArray[np.float32]]:
    plain = {"model": f"{TINY.rpartition(':')[0]}:linear", "cutout": 0, "crop": 0, "flip": False, "lr": 0.1}
    made = config.make(plain | {"optimizer": optimizer, "precision": "float32", "schedule": "constant"} | settings)
    learner = assemble(made, make_data(num_train=300))
    learner.engine.run(dealt(learner, lr=made.lr), [])
    return twin(learner).get_weights()


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_all_images_in_parts_make_the_update_of_the_one_big_batch(optimizer: str) -> None:
    start = weights_after_an_epoch(optimizer, batch_size="full", lr=1e-30)
    parts, whole = (weights_after_an_epoch(optimizer, batch_size=size) for size in ("full", 300))
    for before, a, b in zip(start, parts, whole, strict=True):
        assert np.abs(b - before).max() > 1e-3  # there was an update
        assert np.abs(a - b).max() < 1e-6 + 1e-4 * np.abs(b - before).max()
