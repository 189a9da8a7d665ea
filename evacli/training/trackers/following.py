"""Have trackers follow a training, which none of them can stop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name

import msgspec

from evacli import console
from evacli.backend import hushed, silenced
from evacli.catalogue.trackers import TRACKERS
from evacli.errors import Diverged
from evacli.messages import short
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import State
from evacli.training.state import TrainingState
from evacli.training.trackers import Tracker
from evacli.training.trackers.choice import chosen


@contextmanager
def following(names: Sequence[str], state: TrainingState) -> Iterator[Callable[[Row], None]]:
    """Tell trackers of a training within a block, at its end with what it has come to.

    Args:
        names: of the trackers.
        state: of the training, before it goes on.

    Yields:
        What is to be called with each finished epoch.
    """
    trackers = Trackers(names, state.run)
    ended: State = "unfinished"
    config = msgspec.to_builtins(state.progress.config)
    trackers.tell(lambda tracker: tracker.begin(config))
    for row in state.rows:  # a tracker may not have them all yet, as after a kill
        trackers.epoch(row)
    try:
        yield trackers.epoch
        ended = "finished"
    except Diverged:
        ended = "failed"
        raise
    finally:
        if trackers.left:
            trackers.end(state, ended)


def hand_over(run: RunDir, files: Sequence[Path]) -> None:
    """Give files that were made after the training to the trackers that it was logged to."""
    Trackers(chosen(run, None), run).keep(files)


class Trackers:
    """Some trackers; one that fails is left out from there on, with a warning.

    Attributes:
        left: those that work, by name.
    """

    def __init__(self, names: Sequence[str], run: RunDir) -> None:
        self.left: dict[str, Tracker] = {}
        for name in names:
            with self._guarded(name), silenced():
                self.left[name] = resolve_name(TRACKERS[name])(run)

    def tell(self, what: Callable[[Tracker], None]) -> None:
        """Do something with each of them."""
        for name, tracker in tuple(self.left.items()):
            with self._guarded(name), hushed():
                what(tracker)

    def epoch(self, row: Row) -> None:
        """Tell them of a finished epoch."""
        self.tell(lambda tracker: tracker.epoch(row))

    def end(self, state: TrainingState, ended: State) -> None:
        """Tell them what a training has come to, and give them its files."""
        summary, run = state.summarise(ended), state.run
        self.keep([run.config, run.history, run.summary, run.curves_png, run.report])
        self.tell(lambda tracker: tracker.end(summary))

    def keep(self, files: Sequence[Path]) -> None:
        """Give them those of the files that there are."""
        there = [file for file in files if file.exists()]
        self.tell(lambda tracker: tracker.keep(there))

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as e:  # of a server, a disk or another's library: no reason to end hours of work
            self.left.pop(name, None)
            console.warn(f"{name} is left out from here on: {type(e).__name__}: {short(e)}")
