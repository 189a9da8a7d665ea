"""Every error that evacli raises on purpose.

EvacliError                 exit code 1; one line, with the way on
├── ConfigError        2    an option or a configuration that cannot be used
│   └── Contradiction  2    an option that contradicts what the run was made with
├── DataError          1    images or labels that cannot be read
├── ModelError         1    an architecture or a model file that cannot be used
│   └── PrecisionError 1    a network that cannot be trained in the precision
├── MemoryShort        1    what was asked for takes more memory than there is
├── NoSuggestion       1    a range test that does not tell a learning rate
├── RunError           1    a run directory that lacks or garbles what a command needs
│   └── RunBusy        1    another process is training in it
├── Diverged           1    the loss is not finite
├── WorkerLost         1    another process of the training is gone
└── Stopped            1    a training that its caller stopped, after saving
    └── Interrupted 128+n   stopped by signal n, after saving: 130 after Ctrl-C
"""

from signal import Signals


class EvacliError(Exception):
    """What went wrong, what was expected and, in `fix`, the command or change that helps."""

    exit_code = 1

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        """Return what went wrong and what helps."""
        return f"{self.message} {self.fix}".rstrip()

    def _render_traceback_(self) -> list[str]:
        # What IPython shows in place of a traceback, which tells nothing that the message does not.
        return [f"{type(self).__name__}: {self}"]


class ConfigError(EvacliError):
    """An option or a configuration that cannot be used."""

    exit_code = 2


class Contradiction(ConfigError):
    """An option differs from what the run was made with."""


class DataError(EvacliError):
    """Images or labels that cannot be read or used."""


class ModelError(EvacliError):
    """An architecture or a model file that cannot be used."""


class PrecisionError(ModelError):
    """A network cannot be trained in the precision."""


class MemoryShort(EvacliError):
    """What was asked for takes more memory than there is."""


class NoSuggestion(EvacliError):
    """The curve of a range test does not tell a learning rate."""


class RunError(EvacliError):
    """A run directory lacks or garbles what the command needs."""


class RunBusy(RunError):
    """Another process is using the run directory."""


class Diverged(EvacliError):
    """The training loss became infinite or NaN."""


class WorkerLost(EvacliError):
    """Another process of the same training has died or cannot be reached any more."""


class Stopped(EvacliError):
    """The caller of a training stopped it; everything up to that step is saved."""


class Interrupted(Stopped):
    """A signal stopped the command; everything up to that step is saved."""

    def __init__(self, signum: int, message: str, fix: str = "") -> None:
        super().__init__(message, fix)
        self.signum = signum
        self.exit_code = 128 + Signals(signum)
