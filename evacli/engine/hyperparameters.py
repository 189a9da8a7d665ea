"""What a configuration says of its optimizer: pure functions."""

from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config


def hyperparameters(config: Config) -> dict[str, float]:
    """Return those of the configured optimizer, each as given or else its own default.

    Example:
        >>> hyperparameters(Config(optimizer="momentum"))
        {'momentum': 0.9}
    """
    defaults = OPTIMIZERS[config.optimizer].hyperparameters
    given = {name: getattr(config, name) for name in defaults}
    return {name: defaults[name] if value is None else value for name, value in given.items()}


def inertia(config: Config) -> float:
    """Return what a range test has to allow for: beta_1 of the Adam family and Lion, 0 for all others.

    With momentum the lower rate is better in trainings of some hundred steps, and worse in longer ones.
    """
    return hyperparameters(config).get("beta_1", 0.0)


def cycled(config: Config) -> str | None:
    """Name the hyperparameter that moves against the learning rate: under one-cycle, unless it was given a value."""
    name = OPTIMIZERS[config.optimizer].cycled
    return name if name and config.schedule == "one-cycle" and getattr(config, name) is None else None
