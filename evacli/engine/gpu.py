"""The engine for one graphics card: Keras' `fit` over blocks of many steps.

The images lie on the card as bytes, where they fit, and are chosen and augmented there. What each step of a block needs
from outside, its images, learning rate and momentum, is told before the block; nothing is read back until its end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli import devices, memory
from evacli.backend import keras, tf
from evacli.data.images import Images
from evacli.devices import Card
from evacli.engine import needs, precision
from evacli.engine.base import Batches, EpochFigures, Figures, Hook, Plan, Precision, Predictor
from evacli.engine.fast.twin import ON_CARD
from evacli.engine.hyperparameters import cycled
from evacli.engine.single import TRIED, SingleEngine, Twin, untuned
from evacli.errors import MemoryShort
from evacli.models.weights import COPIES, FLOAT

BLOCK_SECONDS = 0.5  # how long a block of steps may take: what a person waits for the display, or for Ctrl-C
MOST_STEPS = 1024
TIMED = 3  # steps, the first of which is compiled, that tell how long one takes
# Images that take no more lie on the card in any case; others if they leave this share of its memory to the network.
SMALL_DATA, LEFT = 2**30, 2 / 3
STREAMED = 2**28  # bytes of images in a block of those that do not
AT_ONCE, PIXELS_AT_ONCE = 1000, 2**22  # images that are predicted, and their pixels


class GpuEngine(SingleEngine):
    """One process on one card; see `evacli.engine.base.Engine` for what its methods promise.

    Attributes:
        device: the name of the card.
        xla: whether XLA compiles what it can of a step: loops over memory become one, at the price of some seconds
            once. TensorFlow does not vouch for the bits of what it makes.
    """

    _layers = ON_CARD

    def __init__(self, card: Card, *, xla: bool | None = None) -> None:
        super().__init__()
        self._card, self.device = card, card.name
        self.xla = not devices.deterministic() if xla is None else xla
        self._seconds: float | None = None  # that a step takes
        self._compiled: tuple[keras.Model, Any] | None = None
        self._twin_class = BlockTwin

    def precision(self, wanted: str) -> Precision:
        """Measure for "auto" which is fastest on this card."""
        return precision.choose_on_card(wanted)

    def need(self, network: keras.Model, plan: Plan) -> int:
        """Count what stays with the processor: a copy of the weights and of all that is saved with them."""
        return needs.GRAPHS + FLOAT * COPIES * int(network.count_params())

    # -- training --------------------------------------------------------------------------------------------------

    def prepare(self, network: keras.Model, plan: Plan) -> None:
        """Bring the images to the card, if they fit, and prepare what is done with them.

        Raises:
            PrecisionError: if a network of the user's cannot be trained in less than float32.
        """
        self._resident = self._on_card(plan.images)
        super().prepare(network, plan)
        if self._resident is not None:
            with tf.device(self._card.place):
                # TensorFlow hands 32-bit integers from one compiled function to the next by way of the host.
                self._labels = tf.constant(plan.labels, tf.int64)
        config = plan.config
        self._tried = tf.constant(plan.images.read(np.arange(min(TRIED, len(plan.images)))))
        self._sound = tf.function(self._is_sound, autograph=False)
        # XLA knows no other operations on images than shifts and holes, and draws its own normal numbers.
        simple = not (config.mixup or config.rand_augment or config.jitter or min(config.scales) < 1)
        noisy = config.gradient_noise or config.input_noise
        self._makers = self._both(self._make_batch, simple)
        self._takers = self._both(self._take, not noisy)
        self._twin.step = self._step

    def _both(self, function: Callable[..., Any], compiles: bool) -> dict[bool, Any]:
        """Return a function of TensorFlow's as XLA compiles it, if that is wanted, and as it is."""
        plain = tf.function(function, autograph=False)
        return {False: plain, True: tf.function(function, autograph=False, jit_compile=True) if compiles else plain}

    def _on_card(self, images: Images) -> Any:
        array = getattr(images, "array", None)  # which may have several views of each
        count = len(images) if array is None else len(array)
        size = images.read(np.arange(1)).nbytes * count
        if size > SMALL_DATA and size > (1 - LEFT) * (devices.memory() or 0):
            return None
        with tf.device(self._card.place):
            return tf.constant(images.read(np.arange(count)) if array is None else array)

    def _read(self, indices: tf.Tensor) -> tf.Tensor:
        return super()._read(indices) if self._resident is None else tf.gather(self._resident, indices)

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Let Keras' `fit` take blocks of steps, and ask the hooks after each."""
        try:
            for part in self._parts(batches):
                # The means go on from one `fit` to the next, as from one session to the next.
                self._fit(part, hooks)
                self._resumed = [np.array(variable.numpy()) for variable in self._twin.metrics_variables]
        except tf.errors.ResourceExhaustedError as e:
            size = batches.size
            what = f"{self.device} has not enough memory to train in batches of {size:,}."
            raise MemoryShort(what, memory.lighter(size)) from e
        self._restore_metrics()
        found = self._twin.get_metrics_result()
        return EpochFigures(float(found["cross_entropy"]), float(found["accuracy"]))

    def _parts(self, batches: Batches) -> Iterator[Batches]:
        """Yield parts with batches of one size: a few whose time tells how many make a block; the smaller last one."""
        whole = len(batches.indices) // batches.size
        first = min(TIMED, whole) if self._seconds is None else 0
        for begin, end in ((0, first), (first, whole), (whole, len(batches))):
            if begin < end:
                yield _part(batches, begin, end)

    def _fit(self, batches: Batches, hooks: Sequence[Hook]) -> None:
        steps = min([self._steps_of_block(), *(hook.every for hook in hooks)])
        blocks = Blocks(self._restore_metrics, batches, hooks)
        self._whole = len(batches.indices) // len(batches) == batches.size
        self._twin.fit(self._blocks(batches, steps), verbose=0, shuffle=False, callbacks=[blocks])
        self._seconds = blocks.seconds or self._seconds

    def _steps_of_block(self) -> int:
        if self._seconds is None:
            return 1
        return max(1, min(MOST_STEPS, int(BLOCK_SECONDS / self._seconds)))

    def _blocks(self, batches: Batches, steps: int) -> tf.data.Dataset:
        """Give the card what it needs for so many steps at a time.

        Returns:
            Tuples of a (K,) learning rate and momentum of each step, and what makes its batch: (K, B) indices, whether
            each is mirrored, and a number; or, of images that do not lie on the card, the batch itself.
        """
        rates = np.array([controls.lr for controls in batches.controls], np.float32)
        name = cycled(self._plan.config)
        held = float(getattr(self._twin.optimizer, name)) if name else 0.0
        momenta = np.array([held if c.momentum is None else c.momentum for c in batches.controls], np.float32)
        steered = tf.data.Dataset.from_tensor_slices((rates, momenta))
        size = len(batches.indices) // len(batches)
        if self._resident is not None:
            shape = len(batches), size
            shown = batches.indices.reshape(shape), batches.mirrored.reshape(shape)
            made = tf.data.Dataset.from_tensor_slices((shown, batches.numbers))
        else:
            steps = max(1, min(steps, STREAMED // (size * int(np.prod(self._plan.images.shape)) * self._kind.itemsize)))
            made = self._dataset(batches).map(lambda *parts: tuple(_of_size(part, size) for part in parts))
        together = tf.data.Dataset.zip(steered, made).map(lambda steering, what: (*steering, *what))
        return together.batch(steps).prefetch(1).with_options(untuned())

    def _step(self, rate: Any, momentum: Any, *what: Any) -> Any:
        """Take a step and return its loss."""
        optimizer, name = self._twin.optimizer, cycled(self._plan.config)
        optimizer.learning_rate = rate
        if name:
            getattr(optimizer, name).assign(momentum)
        # A smaller last batch is not worth the time to compile it.
        xla = self.xla and self._whole
        return self._takers[xla](*(what if self._resident is None else self._makers[xla](*what)))

    def _take(self, *batch: Any) -> Any:
        return self._twin.take_step(batch)["step_loss"]

    def is_sound(self) -> bool:
        """Look at all variables and at the scores of the first images, on the card."""
        return bool(self._sound())

    def _is_sound(self) -> Any:
        numbers = [variable.value for variable in self._twin.variables if "float" in variable.dtype]
        scores = self._twin(self._tried, training=False)
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in (*numbers, scores)])

    # -- predicting ------------------------------------------------------------------------------------------------

    def _at_once(self, shape: tuple[int, ...]) -> int:
        return max(1, min(AT_ONCE, PIXELS_AT_ONCE // (shape[0] * shape[1])))

    def predictor(self, network: keras.Model, most: int | None = None) -> Predictor:
        """Predict in float32, in batches of one size, which are sent to the card as they are."""
        model = self._fast(network)
        if self._compiled is None or self._compiled[0] is not model:

            def through(images: Any) -> Any:
                return model(tf.cast(images, tf.float32), training=False)

            self._compiled = model, tf.function(through, autograph=False)
        compute = self._compiled[1]

        def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            batch = np.zeros((most or self._at_once(images.shape[1:]), *images.shape[1:]), images.dtype)
            batch[: len(images)] = images
            probabilities: NDArray[np.float32] = compute(tf.constant(batch)).numpy()[: len(images)]
            return probabilities

        return predict


class BlockTwin(Twin):
    """A network whose training step is a block of them.

    Attributes:
        step: takes one, and returns its loss.
    """

    step: Callable[..., Any]

    def take_step(self, data: Any) -> Any:
        """Take one step."""
        return super().train_step(data)

    def train_step(self, data: Any) -> Any:
        """Take as many steps as the parts of `data` have rows."""

        def body(number: Any, losses: Any) -> tuple[Any, Any]:
            row = tf.nest.map_structure(lambda part: part[number], data)
            return number + 1, losses.write(number, self.step(*row))

        steps = tf.shape(data[0])[0]
        losses = tf.TensorArray(tf.float32, steps)
        _, losses = tf.while_loop(lambda number, _: number < steps, body, (0, losses), parallel_iterations=1)
        return self.get_metrics_result() | {"losses": losses.stack()}


class Blocks(keras.callbacks.Callback):
    """What happens between the blocks of a `fit`.

    Attributes:
        seconds: that a step took where that was least; None where all there was is a block, which TensorFlow traced.
    """

    def __init__(self, begin: Callable[[], None], batches: Batches, hooks: Sequence[Hook]) -> None:
        super().__init__()
        self._begin, self._controls, self._hooks = begin, batches.controls, hooks
        self._done, self._since = 0, 0.0
        self.seconds: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin, now that Keras has reset the metrics."""
        self._begin()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Look at the clock."""
        self._since = perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Say what the block came to."""
        losses = np.atleast_1d(logs["losses"]).tolist()
        if self._done:
            seconds = (perf_counter() - self._since) / len(losses)
            self.seconds = min(seconds, self.seconds or seconds)
        self._done += len(losses)
        rate = float(np.float32(self._controls[self._done - 1].lr))  # as the optimizer keeps it
        figures = Figures(losses, rate, float(logs["cross_entropy"]), float(logs["accuracy"]))
        for hook in self._hooks:
            hook.after(figures)


def _part(batches: Batches, begin: int, end: int) -> Batches:
    images, steps = slice(begin * batches.size, end * batches.size), slice(begin, end)
    return replace(
        batches,
        indices=batches.indices[images],
        mirrored=batches.mirrored[images],
        numbers=batches.numbers[steps],
        controls=batches.controls[steps],
    )


def _of_size(part: Any, size: int) -> Any:
    return tf.ensure_shape(part, [size, *part.shape[1:]]) if part.shape.rank else part
