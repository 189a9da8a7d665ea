"""The engine for one CPU: Keras' `fit` on fast layers.

What trains is a twin of the plain network on faster layers, which nobody else sees.
"""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf
from evacli.data.images import Images
from evacli.devices import PROCESSOR
from evacli.engine import distort, needs, optimizers, precision
from evacli.engine.augment import Augmentation
from evacli.engine.base import (
    Arrays,
    Batches,
    Controls,
    EpochFigures,
    Figures,
    Hook,
    Look,
    Plan,
    Precision,
    Predictor,
    View,
)
from evacli.engine.embedding import with_embedding
from evacli.engine.fast.moving_statistics import MovingStatistics
from evacli.engine.fast.twin import FAST, fast_copy, training_twin
from evacli.engine.hyperparameters import cycled
from evacli.engine.loss import SmoothedCrossEntropy
from evacli.errors import ModelError, PrecisionError
from evacli.models.nested import all_layers
from evacli.models.saved import first_sentence
from evacli.paths import is_reference

BATCH_SIZE = 256  # of images that are predicted
BATCH_PIXELS = 2**20  # of large images a batch holds fewer, so that its feature maps fit into memory
MIXING = 4  # the seed of Mixup, beside those of the other augmentations
TRIED = 16  # images that a sound network has finite scores for


class Twin(keras.Model):
    """A network whose steps tell their own loss, beside Keras' running means."""

    @property
    def losses(self) -> list[Any]:
        """The network's penalties in float32, whatever its layers compute in: Keras adds them to a float32 loss."""
        return [tf.cast(loss, tf.float32) for loss in super().losses]

    _mixed: Any = None  # in a step, the labels of the other images, and the part of the own ones

    def compute_loss(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Compute Keras' loss, of mixed images that of both labels, and keep it."""
        loss = super().compute_loss(x, y, *args, **kwargs)
        if self._mixed is not None:
            others, part = self._mixed
            loss = part * loss + (1 - part) * super().compute_loss(x, others, *args, **kwargs)
        self._seen = loss
        return loss

    def train_step(self, data: Any) -> Any:
        """Take Keras' step."""
        data, self._mixed = data[:3], data[3:] or None
        logs = super().train_step(data)
        size = tf.cast(tf.shape(data[0])[0], tf.float32)
        # In the arithmetic of Keras' mean over this one batch.
        return logs | {"step_loss": tf.math.divide_no_nan(self._seen * size, size)}


class SingleEngine:
    """One process on one CPU; see `evacli.engine.base.Engine` for what its methods promise."""

    is_chief = True
    device = PROCESSOR
    _layers = FAST  # what stands for which plain layers
    _twin_class: Any = Twin
    _mirrored = False  # whether there are several copies of the network

    def __init__(self) -> None:
        self._resumed: list[NDArray[Any]] = []
        self._predicting: tuple[keras.Model, keras.Model] | None = None

    def precision(self, wanted: str) -> Precision:
        """Measure for "auto" which is faster on this processor."""
        return precision.choose(wanted)

    # -- training --------------------------------------------------------------------------------------------------

    def need(self, network: keras.Model, plan: Plan) -> int:
        """Take the larger of what training and predicting need."""
        largest = -(-len(plan.images) // plan.steps_per_epoch)
        tested = needs.predicting(network, self._at_once(plan.images.shape))
        return max(needs.training(network, largest), tested)

    def prepare(self, network: keras.Model, plan: Plan) -> None:
        """Make the twin, its optimizer and its augmentation.

        Raises:
            PrecisionError: if a network of the user's cannot be trained in less than float32.
        """
        self._plan, short = plan, plan.config.precision != "float32"
        self._augmentation = None if plan.fill is None else Augmentation.of(plan.config, plan.fill)
        self._kind = plan.images.read(np.arange(1)).dtype
        self._labels = tf.constant(plan.labels, tf.int32)
        # One TensorFlow function, which is not traced anew in every epoch.
        self._batch_maker = tf.function(self._make_batch, autograph=False)
        try:
            self._make(network)
            if short and is_reference(plan.config.model):
                self._try_out()
        except Exception as e:  # a stranger's layers and operations raise anything
            if short and (culprit := self._culprit(network)):
                raise PrecisionError(
                    f"The network cannot be trained in {plan.config.precision} from its layer {culprit} on: "
                    f"{first_sentence(e)}",
                    "Use --precision float32.",
                ) from e
            raise

    def _make(self, network: keras.Model, only: Any = None) -> None:
        twin = training_twin(network, self._plan.config.precision, only, self._layers)
        twin.set_weights(network.get_weights())
        self._twin = self._twin_class(twin.input, twin.output, name=twin.name)
        self._statistics = MovingStatistics(network, self._twin, self._plan.steps_per_epoch)
        self._compile()

    def _try_out(self) -> None:
        precision.try_out(self._twin, self._plan.images.read(np.arange(min(TRIED, len(self._plan.images)))))

    def _culprit(self, network: keras.Model) -> str:
        """Return the name of the first layer whose bfloat16 alone makes a step fail, empty if none does."""
        for layer in all_layers(network):
            try:
                self._make(network, layer)
                self._try_out()
            except Exception:
                return str(layer.name)
        return ""

    def _compile(self) -> None:
        config, twin = self._plan.config, self._twin
        twin.compile(
            optimizer=self._optimizer(),
            loss=SmoothedCrossEntropy(config.label_smoothing),
            metrics=[
                keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
                keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True),
            ],
            # XLA's CPU code for this step runs on one core and is slower.
            jit_compile=False,
        )
        # The metrics get their variables when first used; a resumed epoch restores them before that.
        twin.compute_metrics(None, tf.zeros([1], tf.int32), tf.zeros([1, twin.output_shape[-1]]))
        twin.reset_metrics()

    def _optimizer(self) -> keras.optimizers.Optimizer:
        plan = self._plan
        return optimizers.make(
            plan.config, self._twin.trainable_variables, plan.accumulated, self._rate_factors(), mirrored=self._mirrored
        )

    def _rate_factors(self) -> list[float]:
        """Return the factor of the rate for each variable that is trained."""
        by_layer = self._plan.rate_factors
        factors = {id(v): by_layer.get(layer.name, 1.0) for layer in all_layers(self._twin) for v in layer.variables}
        return [factors.get(id(v), 1.0) for v in self._twin.trainable_variables]

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Let Keras' `fit` take a step for each batch, and ask the hooks after every one."""
        if len(batches):
            steps = _Steps(self._restore_metrics, self._steer, batches.controls, hooks)
            self._twin.fit(self._dataset(batches), verbose=0, shuffle=False, callbacks=[steps])
        else:
            self._restore_metrics()
        found = self._twin.get_metrics_result()
        return EpochFigures(float(found["cross_entropy"]), float(found["accuracy"]))

    def _dataset(self, batches: Batches) -> tf.data.Dataset:
        """Read and augment the batches as they are needed.

        Returns:
            Tuples of (B, H, W, 3) uint8 images, (B,) int32 labels and, where classes are weighed, several batches make
            one update or images are mixed, (B,) float32 weights, with which the mean over those batches is that over
            their images; where images are mixed, also (B,) labels of the other images, and the part of the own ones.
        """
        shown = tf.data.Dataset.from_tensor_slices((batches.indices, batches.mirrored)).batch(batches.size)
        numbers = tf.data.Dataset.from_tensor_slices(batches.numbers)
        return tf.data.Dataset.zip(shown, numbers).map(self._batch_maker).prefetch(2).with_options(untuned())

    def _make_batch(self, shown: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Read and augment a batch."""
        config, (indices, mirrored) = self._plan.config, shown
        images = self._read(indices)
        seed = tf.stack([config.seed, number])
        augmented = self._augmentation(images, seed, mirrored) if self._augmentation else images
        own = tf.gather(self._labels, indices)
        if not config.mixup:
            return augmented, own, *self._weights(own)
        seed = tf.random.experimental.stateless_fold_in(seed, MIXING)
        mixed, part = distort.mixup(augmented, seed, config.mixup)
        weights = self._weights(own) or (tf.ones([tf.size(own)]),)
        return mixed, own, *weights, tf.roll(own, 1, axis=0), part

    def _read(self, indices: tf.Tensor) -> tf.Tensor:
        images = self._plan.images
        return tf.ensure_shape(tf.numpy_function(images.read, [indices], self._kind), [None, *images.shape])

    def _steer(self, controls: Controls) -> None:
        optimizer = self._twin.optimizer
        optimizer.learning_rate = controls.lr
        moved = cycled(self._plan.config)
        if moved and controls.momentum is not None:
            getattr(optimizer, moved).assign(controls.momentum)

    def _weights(self, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Weigh the images of a batch: by their class, and by the batch's share in an update of several."""
        plan = self._plan
        if plan.accumulated == 1 and plan.class_weights is None:
            return ()
        size = tf.size(labels)
        weights = tf.ones([size]) if plan.class_weights is None else tf.gather(plan.class_weights, labels)
        if plan.accumulated > 1:
            weights *= tf.cast(size, tf.float32) * (plan.accumulated / len(plan.images))
        return (weights,)

    def sync(self, network: keras.Model) -> None:
        """Copy the twin's weights, and make BatchNorm's statistics right for trainings of few steps."""
        network.set_weights(self._twin.get_weights())
        # They have moved in the steps that were left out, too, where those are not parts of an update.
        left_out = self.skipped() if self._plan.accumulated == 1 else 0
        self._statistics.unbias(int(self._twin.optimizer.iterations.numpy()) * self._plan.accumulated + left_out)

    def skipped(self) -> int:
        """Ask the optimizer, which scales the loss in float16."""
        skipped = getattr(self._twin.optimizer, "skipped", None)
        return 0 if skipped is None else int(skipped.numpy())

    def asked_to_stop(self) -> int | None:
        """There is no other process."""
        return None

    # -- its state -------------------------------------------------------------------------------------------------

    def _variables(self) -> dict[str, list[Any]]:
        twin = self._twin
        return {"network": twin.variables, "optimizer": twin.optimizer.variables, "metrics": twin.metrics_variables}

    def state(self) -> Arrays:
        """Copy weights, BatchNorm statistics, seeds, optimizer slots, iterations, learning rate and running means."""
        # A copy: numpy() may share the memory of the variable.
        return {group: [np.array(v.numpy()) for v in variables] for group, variables in self._variables().items()}

    def restore(self, arrays: Arrays) -> None:
        """Assign what `state` gave, all or nothing."""
        variables = self._variables()
        found = {group: _fitting(variables[group], arrays.get(group, []), group) for group in ("network", "optimizer")}
        self._resumed = _fitting(variables["metrics"], arrays["metrics"], "metrics") if arrays.get("metrics") else []
        for group, values in found.items():
            for variable, value in zip(variables[group], values, strict=True):
                variable.assign(value)
        self._reset_metrics()

    def _reset_metrics(self) -> None:
        self._twin.reset_metrics()

    def _restore_metrics(self) -> None:
        """Give the metrics back the running means that an interrupted stretch had."""
        if self._resumed:
            for variable, value in zip(self._variables()["metrics"], self._resumed, strict=True):
                variable.assign(value)
        self._resumed = []

    def is_sound(self) -> bool:
        """Look at all variables, and at the scores of the first images."""
        # The loss of a step tells of the weights before it; so what they have become is tried here.
        if not all(np.isfinite(variable.numpy()).all() for variable in self._twin.variables):
            return False
        images = self._plan.images.read(np.arange(min(TRIED, len(self._plan.images))))
        return bool(np.isfinite(self._twin(images, training=False)).all())

    # -- predicting ------------------------------------------------------------------------------------------------

    def predict(
        self,
        network: keras.Model,
        images: Images,
        views: Sequence[View],
        watch: Callable[[int], None],
        look: Look | None = None,
    ) -> NDArray[np.float32]:
        """Predict a block after the other, each in all views."""
        probabilities = np.empty((len(views), len(images), network.output_shape[-1]), np.float32)
        predict, done = self.predictor(network) if look is None else self._shown(network, look, len(views)), 0
        for block in images.blocks(self._at_once(images.shape)):
            watch(done)
            for view, found in zip(views, probabilities, strict=True):
                found[done : done + len(block)] = predict(view(block))
            done += len(block)
        return probabilities

    def _shown(self, network: keras.Model, look: Look, views: int) -> Predictor:
        """Predict, and show the embedding of every first of some views."""
        embed, turn = with_embedding(self._fast(network)), cycle(range(views))

        def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            probabilities, vectors = embed(images)
            if next(turn) == 0:
                look(vectors.numpy())
            return np.asarray(probabilities)

        return predict

    def _at_once(self, shape: tuple[int, ...]) -> int:
        """Return how many images of `shape` are predicted in one go."""
        return batch_size(shape)

    def predictor(self, network: keras.Model, most: int | None = None) -> Predictor:
        """Predict on fast layers where the network can be made of such, in batches of one size."""
        model = self._fast(network)

        def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            # Of one size, so that fewer images cost no second trace.
            batch = np.zeros((most or self._at_once(images.shape[1:]), *images.shape[1:]), np.float32)
            batch[: len(images)] = images
            probabilities: NDArray[np.float32] = model.predict_on_batch(batch)[: len(images)]
            return probabilities

        return predict

    def _fast(self, network: keras.Model) -> keras.Model:
        """Copy the network as it is now on fast layers; itself if that cannot be made of it."""
        if self._predicting is None or self._predicting[0] is not network:
            try:
                self._predicting = network, fast_copy(network, self._layers)
            except ModelError:
                self._predicting = network, network
        fast = self._predicting[1]
        if fast is not network:
            fast.set_weights(network.get_weights())
        return fast


def batch_size(shape: tuple[int, ...]) -> int:
    """Return how many images of `shape`, (H, W, ...), are predicted at a time."""
    return max(1, min(BATCH_SIZE, BATCH_PIXELS // (shape[0] * shape[1])))


def untuned() -> tf.data.Options:
    """Return options of a data set that TensorFlow does not tune."""
    # There is nothing here to tune, and TensorFlow's tuner sleeps for up to a minute at a time: where it misses the
    # signal that an epoch is over, which happens, the end of the epoch waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _fitting(variables: Sequence[Any], arrays: Sequence[NDArray[Any]], group: str) -> list[NDArray[Any]]:
    """Return the arrays in the types of the variables; ValueError if number, shapes or kinds differ."""
    expected = [(tuple(v.shape), np.dtype(v.dtype)) for v in variables]
    typed = [_typed(array, dtype) for array, (_, dtype) in zip(arrays, expected, strict=False)]
    if len(arrays) != len(variables) or expected != [(a.shape, a.dtype) for a in typed]:
        raise ValueError(group)
    return typed


def _typed(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    # NumPy's files know no bfloat16; they keep its bytes.
    return array.view(dtype) if array.dtype == np.dtype((np.void, dtype.itemsize)) else array


class _Steps(keras.callbacks.Callback):
    """What happens between the steps of a `fit`: controls before each of them, hooks after it."""

    def __init__(
        self,
        begin: Callable[[], None],
        steer: Callable[[Controls], None],
        controls: Sequence[Controls],
        hooks: Sequence[Hook],
    ) -> None:
        super().__init__()
        self._begin, self._steer, self._controls, self._hooks = begin, steer, controls, hooks

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin, now that Keras has reset the metrics."""
        self._begin()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Steer the step."""
        self._steer(self._controls[batch])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Say what the step came to."""
        figures = Figures(
            [float(logs["step_loss"])],
            float(self.model.optimizer.learning_rate),
            float(logs["cross_entropy"]),
            float(logs["accuracy"]),
        )
        for hook in self._hooks:
            hook.after(figures)
