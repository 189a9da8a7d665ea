"""All processes of one training: how they talk to each other. The chief gives orders, the others follow them.

What one says, all hear, by sums to which the others add zeros. So all have to ask at the same moments.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evacli import devices
from evacli.backend import tf
from evacli.errors import EvacliError, WorkerLost
from evacli.workers import Place

CHUNK = 2**14  # numbers of 8 bytes that are said at a time
LEAVING = -1  # what the chief says in the place of a signal where the others shall stop


class Order(NamedTuple):
    """What the chief wants done.

    Attributes:
        document: what it is, in `do`, and what of it JSON can hold.
        arrays: what it needs beside.
    """

    document: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Crew:
    """The processes of a training, as one of them sees them.

    Attributes:
        place: of this one.
        strategy: TensorFlow's, which they have in common.
    """

    def __init__(self, place: Place, strategy: Any) -> None:
        self.place, self.strategy = place, strategy
        self._sums = {
            size: tf.function(self._sum, input_signature=[tf.TensorSpec([size], tf.int64)], autograph=False)
            for size in (place.count, CHUNK)
        }

    def _sum(self, numbers: Any) -> Any:
        def of_replica() -> Any:
            context = tf.distribute.get_replica_context()
            # Of several devices of a process the first one speaks.
            speaks = context.replica_id_in_sync_group % (self.strategy.num_replicas_in_sync // self.place.count) == 0
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(speaks, numbers, tf.zeros_like(numbers)))

        return self.strategy.experimental_local_results(self.strategy.run(of_replica))[0]

    def numbers(self, own: int) -> NDArray[np.int64]:
        """Return the number that each process says."""
        row = np.zeros(self.place.count, np.int64)
        row[self.place.index] = own
        heard: NDArray[np.int64] = self._sums[self.place.count](tf.constant(row)).numpy()
        return heard

    def exchange(self, own: bytes = b"") -> list[bytes]:
        """Return what each process says."""
        said = []
        for speaker, size in enumerate(self.numbers(len(own)).tolist()):
            words = np.zeros(-(-size // (8 * CHUNK)) * CHUNK, np.int64)
            if speaker == self.place.index:
                words.view(np.uint8)[:size] = np.frombuffer(own, np.uint8)
            heard = [self._sums[CHUNK](tf.constant(part)).numpy() for part in words.reshape(-1, CHUNK)]
            said.append(b"".join(part.tobytes() for part in heard)[:size])
        return said

    def order(self, do: str, arrays: Mapping[str, NDArray[Any]] | None = None, **document: Any) -> None:
        """Tell the others what to do."""
        written = io.BytesIO()
        told = np.frombuffer(json.dumps({"do": do, **document}).encode(), np.uint8)
        np.savez(written, allow_pickle=False, document=told, **(arrays or {}))
        self.exchange(written.getvalue())

    def hear(self) -> Order:
        """Wait for the next order of the chief's."""
        with np.load(io.BytesIO(self.exchange()[0]), allow_pickle=False) as stored:
            arrays = dict(stored)
        return Order(json.loads(arrays.pop("document").tobytes()), arrays)

    def agree(self, refusal: str = "") -> None:
        """Go on if nobody has a reason not to.

        Raises:
            EvacliError: with the first reason.
        """
        for number, said in enumerate(self.exchange(refusal.encode())):
            if said:
                who = "This process" if number == self.place.index else f"Process {number + 1} of {self.place.count}"
                reason = said.decode().rstrip(".")
                raise EvacliError(f"{who} cannot take part: {reason}.", "Start all with the same.")

    @contextmanager
    def leading(self) -> Iterator[dict[str, Any]]:
        """Tell the others at the end of a block that it is over, and why.

        Yields:
            What else they shall be told.
        """
        told: dict[str, Any] = {}
        try:
            with heeding_loss():
                yield told
        except WorkerLost:
            raise
        except BaseException as e:
            with suppress(WorkerLost), heeding_loss():
                self.order("end", said=str(e) or type(e).__name__, code=getattr(e, "exit_code", 1))
            raise
        with suppress(WorkerLost), heeding_loss():  # everything is done
            self.order("end", said="", code=0, **told)


@contextmanager
def heeding_loss() -> Iterator[None]:
    """Say in one line that another process is gone, of which TensorFlow says a lot."""
    try:
        yield
    except tf.errors.OpError as e:
        if isinstance(e, (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
            raise
        raise WorkerLost(
            "Another process of this training is gone; the last checkpoint is kept.",
            "Start all of them again, with the same commands: the training goes on.",
        ) from e


_crew: list[Crew] = []


def crew() -> Crew | None:
    """Return this process' crew, None where it trains alone."""
    place = devices.place()
    if not _crew and place is not None:
        _crew.append(Crew(place, devices.strategy()))
    return _crew[0] if _crew else None
