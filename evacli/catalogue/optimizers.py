"""The optimizer specifications: an entry here is all that an optimizer of Keras' own needs.

`engine/optimizers.py` makes the optimizers.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec


class OptimizerSpec(msgspec.Struct, frozen=True):
    """Describe an optimisation method.

    Attributes:
        keras_class: its class in `keras.optimizers`, or in `evacli.engine.optimizers` where Keras' own needs help.
        lr: the peak learning rate without a range test; for a batch of 128.
        hyperparameters: those that a user may set, with their defaults.
        weight_decay: its default; decoupled from the gradient (Loshchilov & Hutter 2017, arXiv 1711.05101).
        cycled: the hyperparameter that one-cycle moves against the learning rate.
        fixed: what else its class is told.
    """

    keras_class: str
    lr: float
    hyperparameters: dict[str, float] = {}
    weight_decay: float = 0.0
    cycled: str | None = None
    fixed: dict[str, Any] = {}


_INERTIA = {"momentum": 0.9}
_MOMENTS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

OPTIMIZERS: dict[str, OptimizerSpec] = {
    "sgd": OptimizerSpec("SGD", 0.1),
    "momentum": OptimizerSpec("MomentumSGD", 0.05, _INERTIA, cycled="momentum"),
    "nesterov": OptimizerSpec("MomentumSGD", 0.05, _INERTIA, cycled="momentum", fixed={"nesterov": True}),
    "adagrad": OptimizerSpec("Adagrad", 0.02, {"epsilon": 1e-7}),
    "adadelta": OptimizerSpec("Adadelta", 1.0, {"rho": 0.95, "epsilon": 1e-7}),
    "rmsprop": OptimizerSpec("RMSprop", 0.001, {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7}),
    "adam": OptimizerSpec("Adam", 0.002, _MOMENTS, cycled="beta_1"),
    "adamw": OptimizerSpec("Adam", 0.002, _MOMENTS, weight_decay=0.01, cycled="beta_1"),
    "sgdw": OptimizerSpec("MomentumSGD", 0.05, _INERTIA, weight_decay=0.02, cycled="momentum"),
    "muon": OptimizerSpec(
        "ConvolutionalMuon",
        0.002,
        {"momentum": 0.95, "epsilon": 1e-7},
        weight_decay=0.01,
        # What AdamW trains, biases and the scores, may go faster: better after three epochs of airbench_small.
        fixed={"adam_lr_ratio": 4.0},
    ),
    "lion": OptimizerSpec("Lion", 0.0003, {"beta_1": 0.9, "beta_2": 0.99}, weight_decay=0.01),
}

HYPERPARAMETERS = tuple(dict.fromkeys(name for spec in OPTIMIZERS.values() for name in spec.hyperparameters))


def defaults(hyperparameter: str) -> str:
    """Return the default that a hyperparameter has in each optimizer that takes it, as a person reads it."""
    return _said(
        {n: o.hyperparameters[hyperparameter] for n, o in OPTIMIZERS.items() if hyperparameter in o.hyperparameters}
    )


def weight_decays() -> str:
    """Return the default of the weight decay of each optimizer, as a person reads it."""
    return _said({name: optimizer.weight_decay for name, optimizer in OPTIMIZERS.items()})


def _said(values: Mapping[str, float]) -> str:
    """Return names by value, those of the most frequent one last: "rmsprop 0, muon 0.95, others 0.9"."""
    (common, count), *_ = Counter(values.values()).most_common(1)
    rare = [f"{name} {value:g}" for name, value in values.items() if value != common or count == 1]
    return ", ".join([*rare, *([f"{'others ' * bool(rare)}{common:g}"] if count > 1 else [])])
