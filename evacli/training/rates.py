"""The rates of a training: given, suggested by the run's range test, or the optimizer's own."""

from typing import NamedTuple

from evacli import config
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config
from evacli.errors import ConfigError
from evacli.run.directory import RunDir
from evacli.run.lr_result import LrFindResult, fits, suggestion


class Rates(NamedTuple):
    """The peak learning rate, where it comes from, and the lower end of the schedule (None: its own)."""

    lr: float
    source: str
    base_lr: float | None


def choose_rates(run: RunDir, settled: Config) -> Rates:
    """Return what a training of the run begins with.

    Raises:
        ConfigError: if the lower end is not below the peak.
        RunError: if the run's range test is garbled.
    """
    found = suggestion(run) if settled.lr == "auto" else None
    lr, source = _peak(found, settled)
    return Rates(lr, source, _base(found, settled, lr))


def _peak(found: LrFindResult | None, settled: Config) -> tuple[float, str]:
    if settled.lr != "auto":
        return settled.lr, "--lr"
    default, what = OPTIMIZERS[settled.optimizer].lr, f"the default for {settled.optimizer}"
    if found is None or found.lr is None:
        return default, f"{what}; evacli train --find-lr or evacli lr-find looks for a better one"
    if differing := fits(found, settled):
        return default, f"{what}; lr-find was run with another {', '.join(map(config.option, differing))}"
    return found.lr, f"lr-find, {found.rule}"


def _base(found: LrFindResult | None, settled: Config, lr: float) -> float | None:
    """Return `--base-lr`, or for cyclical where the range test saw the loss begin to fall."""
    if settled.base_lr is not None:
        if settled.base_lr >= lr:
            raise ConfigError(f"--base-lr {settled.base_lr:g} is not below the peak, {lr:.4g}.", "Give a lower one.")
        return settled.base_lr
    if settled.schedule != "cyclical" or found is None or found.base_lr is None or fits(found, settled):
        return None
    return found.base_lr if found.base_lr < lr else None
