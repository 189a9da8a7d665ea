"""The engine for several devices: each has a copy of the network, and learns from its part of every batch.

What comes of a step is what one device would make of the whole batch, up to rounding: batches are augmented as a whole,
statistics and gradients are those of the whole batch, and masks are cut out of those for the whole batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evacli import devices
from evacli.backend import keras, tf
from evacli.devices import PROCESSOR
from evacli.engine import precision
from evacli.engine.base import Batches, EpochFigures, Figures, Hook, Plan, Precision
from evacli.engine.fast.twin import FAST, ON_CARD
from evacli.engine.loss import SmoothedCrossEntropy
from evacli.engine.replicas.layers import SHARED, showing, summed
from evacli.engine.single import SingleEngine
from evacli.errors import ConfigError
from evacli.formats import counted
from evacli.models.nested import all_layers, with_wrapped


class Means:
    """Running means of a stretch, in what Keras' metrics keep them in: totals and counts.

    Attributes:
        variables: total and count of the loss, of the accuracy, and of the cross-entropy.
    """

    def __init__(self) -> None:
        names = (f"{figure}_{part}" for figure in ("loss", "accuracy", "cross_entropy") for part in ("total", "count"))
        self.variables = [keras.Variable(0.0, dtype="float32", trainable=False, name=name) for name in names]

    def reset(self) -> None:
        """Begin anew."""
        for variable in self.variables:
            variable.assign(0.0)

    def add(self, sums: Sequence[Any], images: int) -> EpochFigures:
        """Count in what the images of a batch sum up to: loss, right answers, cross-entropy; return the means."""
        totals, counts = self.variables[::2], self.variables[1::2]
        for total, count, of_batch in zip(totals, counts, sums, strict=True):
            total.assign_add(of_batch)
            count.assign_add(float(images))
        return self.figures

    @property
    def figures(self) -> EpochFigures:
        """The means so far."""
        _, _, right, seen, nats, _ = (variable.numpy() for variable in self.variables)
        # In float32, as Keras divides.
        return EpochFigures(float(nats / seen), float(right / seen)) if seen else EpochFigures(0.0, 0.0)


class ReplicaEngine(SingleEngine):
    """Several devices with one copy of the network each; see `evacli.engine.base.Engine` for what its methods promise.

    Attributes:
        device: how many of which.
    """

    _mirrored = True

    def __init__(self) -> None:
        super().__init__()
        card = devices.card()
        self.device = devices.several(card.name if card else PROCESSOR)
        self._layers = {**(ON_CARD if card else FAST), **SHARED}
        self._strategy = self._make_strategy()
        self._means = Means()

    def _make_strategy(self) -> tf.distribute.Strategy:
        # TensorFlow's own choice for processors refuses a second strategy in a process.
        across = None if devices.card() else tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(devices.places(), across)

    def precision(self, wanted: str) -> Precision:
        """Measure for "auto" which is fastest on one of the devices."""
        return (precision.choose_on_card if devices.card() else precision.choose)(wanted)

    # -- training --------------------------------------------------------------------------------------------------

    def prepare(self, network: keras.Model, plan: Plan) -> None:
        """Make the twins, their optimizer and their augmentation.

        Raises:
            ConfigError: if a batch or a layer cannot be divided.
            PrecisionError: if a network of the user's cannot be trained in less than float32.
        """
        size, count = plan.config.largest_batch, self._strategy.num_replicas_in_sync
        smallest = len(plan.images) if size == "full" else min(size, len(plan.images))
        if smallest < count:
            raise ConfigError(
                f"A batch of {counted(smallest, 'image')} cannot be divided among {count} devices.",
                f"Use larger batches, or at most --devices {smallest}.",
            )
        super().prepare(network, plan)
        self._take: Any = None

    def _make(self, network: keras.Model, only: Any = None) -> None:
        with self._strategy.scope():
            super()._make(network, only)
        for layer in with_wrapped(all_layers(self._twin)):
            draws = any(isinstance(one, keras.random.SeedGenerator) for one in vars(layer).values())
            if draws and not isinstance(layer, tuple(SHARED.values())):
                raise ConfigError(
                    f"The layer {layer.name} ({type(layer).__name__}) draws random numbers for a whole batch, which "
                    "cannot be divided among devices.",
                    f"Of Keras' own, evacli divides {', '.join(kind.__name__ for kind in SHARED)}; or use one device.",
                )

    def _compile(self) -> None:
        loss = SmoothedCrossEntropy(self._plan.config.label_smoothing)
        self._twin.compile(optimizer=self._optimizer(), loss=loss, jit_compile=False)

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Take a step for each batch, and ask the hooks after every one."""
        self._reset_metrics()
        self._restore_metrics()
        data = self._dataset(batches)
        if self._take is None:
            # Of any number of images, so that the smaller last batch is traced no second time.
            self._take = tf.function(self._step, input_signature=[data.element_spec], autograph=False)
        for batch, controls in zip(data, batches.controls, strict=True):
            if not self._go_on():
                break
            self._steer(controls)
            images = int(batch[1].shape[0])
            loss, *sums = self._take(batch).numpy()
            means = self._means.add([loss * np.float32(images), *sums], images)
            figures = Figures([float(loss)], float(np.float32(controls.lr)), *means)
            for hook in hooks:
                hook.after(figures)
        return self._means.figures

    def _go_on(self) -> bool:
        """Tell whether the next step shall be taken."""
        return True

    def _step(self, batch: tuple[tf.Tensor, ...]) -> Any:
        """Take a step on all devices.

        Returns:
            The loss, and the numbers of right answers and of nats.
        """
        found = self._strategy.run(self._learn, args=(batch,))
        gradients, sums = tf.nest.map_structure(lambda each: self._strategy.experimental_local_results(each)[0], found)
        with self._strategy.scope():
            self._twin.optimizer.apply(gradients, self._twin.trainable_variables)
        return sums

    def _learn(self, batch: tuple[tf.Tensor, ...]) -> tuple[Any, Any]:
        """Compute what the whole batch says, on each device from a part of it."""
        twin, optimizer = self._twin, self._twin.optimizer
        number, count = self._replica()
        whole = tf.shape(batch[1])[0]
        first, end = number * whole // count, (number + 1) * whole // count
        # TensorFlow's convolutions fail at no images: where a batch has fewer than there are devices, some are shown
        # another one's, which then does not count.
        counts, first = tf.cast(end > first, tf.float32), tf.minimum(first, whole - 1)
        end = tf.maximum(end, first + 1)
        images, own, *rest = [part[first:end] if part.shape.rank else part for part in batch]
        with showing(first, whole, counts), tf.GradientTape() as tape:
            scores = twin(images, training=True)
            penalties = tf.add_n(twin.losses) / count if twin.losses else 0.0
            loss = counts * self._sum_of_losses(scores, own, rest) / tf.cast(whole, tf.float32) + penalties
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, twin.trainable_variables)
        right = counts * tf.reduce_sum(keras.metrics.sparse_categorical_accuracy(own, scores))
        nats = counts * tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(own, scores, from_logits=True))
        *known, sums = summed([*(g for g in gradients if g is not None), tf.stack([loss, right, nats])])
        left = iter(known)
        return [None if gradient is None else next(left) for gradient in gradients], sums

    def _replica(self) -> tuple[Any, int]:
        context = tf.distribute.get_replica_context()
        return context.replica_id_in_sync_group, self._strategy.num_replicas_in_sync

    def _sum_of_losses(self, scores: Any, own: Any, rest: Sequence[Any]) -> Any:
        """Sum up the losses of images, each as it is weighed; of mixed ones those of both labels."""
        weights, *mixed = rest or [1.0]
        losses = self._twin.loss.call(own, scores)
        if mixed:
            others, part = mixed
            losses = part * losses + (1 - part) * self._twin.loss.call(others, scores)
        return tf.reduce_sum(losses * weights)

    # -- its state -------------------------------------------------------------------------------------------------

    def _variables(self) -> dict[str, list[Any]]:
        twin = self._twin
        return {"network": twin.variables, "optimizer": twin.optimizer.variables, "metrics": self._means.variables}

    def _reset_metrics(self) -> None:
        self._means.reset()
