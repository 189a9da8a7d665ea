"""The engine for fine-tuning: what the frozen part of a network makes of the images is computed once.

For each image a few augmented views go through the trunk, the layers that stay as they are; what comes out, the
activations, are the images that the tail, all layers behind, is trained on by another engine. Trunk and tail share
their layers with the whole network, so that it learns what the tail learns.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli import console, memory
from evacli.backend import keras, tf
from evacli.data import cache
from evacli.data.images import Images, Indices, InMemory
from evacli.engine import needs
from evacli.engine.augment import Augmentation
from evacli.engine.base import (
    Arrays,
    Batches,
    Engine,
    EpochFigures,
    Hook,
    Look,
    Plan,
    Precision,
    Predictor,
    View,
    as_it_is,
    mirrored,
)
from evacli.engine.fast.twin import fast_copy
from evacli.engine.single import batch_size
from evacli.formats import counted
from evacli.models import backbones
from evacli.models.fingerprint import fingerprint

_VIEWS = 5  # the seed of which view comes first, beside those of the augmentations


@dataclass(frozen=True)
class Frozen:
    """What of a network is frozen, and what is shown to it.

    Attributes:
        until: the last layer that is.
        views: how many of each image.
        data: the digest of the images.
        name: of the data, for people.
        versions: what the arithmetic depends on.
    """

    until: str
    views: int
    data: str
    name: str
    versions: str


@dataclass(frozen=True)
class Activations(InMemory):
    """What a trunk makes of V views of N images; view v of image i is read at v N + i.

    Attributes:
        array: (V N, H, W, C).
        images: N.
    """

    images: int

    def __len__(self) -> int:
        return self.images

    def read(self, indices: Indices) -> NDArray[Any]:
        """Copy the activations at `indices` into memory."""
        return np.array(self.array[indices])

    def blocks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield the first view of each image."""
        return InMemory(self.array[: self.images]).blocks(size)


class TrunkEngine:
    """Trains the tail of a network with another engine; see `evacli.engine.base.Engine` for what its methods promise.

    Attributes:
        tails: the other engine.
        is_chief: as the other engine's.
        device: as the other engine's.
    """

    def __init__(self, tails: Engine, frozen: Frozen) -> None:
        self.tails, self._frozen, self.is_chief, self.device = tails, frozen, tails.is_chief, tails.device
        self._tested: dict[tuple[int, View], tuple[Images, Images]] = {}

    def precision(self, wanted: str) -> Precision:
        """Leave that to the other engine."""
        return self.tails.precision(wanted)

    def need(self, network: keras.Model, plan: Plan) -> int:
        """Take the larger of what the tail needs and what the trunk needs."""
        trunk, tail = backbones.cut_at(network, self._frozen.until)
        return max(self.tails.need(tail, plan), needs.predicting(trunk, batch_size(plan.images.shape)))

    def prepare(self, network: keras.Model, plan: Plan) -> None:
        """Send all views through the trunk, start the head from them, and let the other engine prepare for the tail."""
        self._network = network
        self._trunk, self._tail = backbones.cut_at(network, self._frozen.until)
        self._through = _traced(self._trunk)
        shown = self._views(plan)
        labels = np.tile(plan.labels, self._frozen.views)
        self._plan = replace(plan, images=shown, labels=labels, fill=None)
        start_head(self._tail, shown, plan.labels)
        self.tails.prepare(self._tail, self._plan)

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Show of each image another view in every epoch, all of them equally often."""
        count, views = len(self._plan.images), self._frozen.views
        first = np.random.default_rng([self._plan.config.seed, _VIEWS]).integers(0, views, count)
        view = (first[batches.indices] + batches.epoch) % views
        return self.tails.run(replace(batches, indices=view * count + batches.indices), hooks)

    def sync(self, network: keras.Model) -> None:
        """Copy what was learnt into the tail, which shares it with the whole network."""
        self.tails.sync(self._tail)

    def state(self) -> Arrays:
        """Copy the state of the tail: the trunk has none."""
        return self.tails.state()

    def restore(self, arrays: Arrays) -> None:
        """Give the tail what `state` gave."""
        self.tails.restore(arrays)

    def skipped(self) -> int:
        """Ask the other engine."""
        return self.tails.skipped()

    def asked_to_stop(self) -> int | None:
        """Ask the other engine."""
        return self.tails.asked_to_stop()

    def is_sound(self) -> bool:
        """Look at the tail."""
        return self.tails.is_sound()

    def predict(
        self,
        network: keras.Model,
        images: Images,
        views: Sequence[View],
        watch: Callable[[int], None],
        look: Look | None = None,
    ) -> NDArray[np.float32]:
        """Predict from activations that are kept, where the network is the one that is trained."""
        kept = [self._activations(images, view) for view in views] if network is self._network else [None]
        if not all(kept):
            return self.tails.predict(network, images, views, watch, look)
        return np.concatenate([self.tails.predict(self._tail, one, [as_it_is], watch) for one in kept if one])

    def predictor(self, network: keras.Model, most: int | None = None) -> Predictor:
        """Leave that to the other engine: nothing is kept of images that are not known."""
        return self.tails.predictor(network, most)

    def _activations(self, images: Images, view: View) -> Images | None:
        """Return what the trunk makes of images as they are or mirrored, None if there is no room to keep that."""
        key = id(images), view
        if key not in self._tested and view in (as_it_is, mirrored):
            shape = self._trunk.output_shape[1:]
            if 4 * len(images) * int(np.prod(shape)) * 4 > (memory.available() or 0):
                return None
            # As they are computed, so that what is measured is the network that is saved.
            found = np.empty((len(images), *shape), np.float32)
            blocks = (view(block) for block in images.blocks(batch_size(images.shape)))
            _fill(found, self._through, blocks, "Images to test on, up to the frozen layer")
            self._tested[key] = images, InMemory(found)  # with the images, so that their id stays theirs
        return self._tested[key][1] if key in self._tested else None

    # -- the views -------------------------------------------------------------------------------------------------

    def _views(self, plan: Plan) -> Activations:
        """Return the activations of all views, from the cache if they are there."""
        count, shape = len(plan.images), self._trunk.output_shape[1:]
        whole = (self._frozen.views * count, *shape)
        assert plan.fill is not None
        augmentation = Augmentation.of(plan.config, plan.fill)
        key = self._key(augmentation, plan)
        if (found := cache.find(key, np.float16)) is None:
            told = f"What the frozen layers make of {counted(self._frozen.views, 'view')} of {counted(count, 'image')}"
            with cache.make(key, self._frozen.name, whole, np.float16, f"{told}: computed into") as made:
                array, finish = made
                _fill(array, self._through, self._shown(augmentation, plan), "Views, up to the frozen layer")
                finish(cache.Index(data=self._frozen.name, good=[True] * len(array), problems={}))
            return Activations(array, count)
        return Activations(found[0], count)

    def _shown(self, augmentation: Augmentation, plan: Plan) -> Iterator[NDArray[np.uint8]]:
        """Yield blocks of all views; half of the images are mirrored, in the next view the other half."""
        rng = np.random.default_rng([plan.config.seed, _VIEWS])
        turned = rng.random(len(plan.images)) < 0.5
        size = batch_size(plan.images.shape)
        number = 0
        augment = tf.function(augmentation.__call__, autograph=False, reduce_retracing=True)
        for view in range(self._frozen.views):
            start = 0
            for block in plan.images.blocks(size):
                mirror = turned[start : start + len(block)] ^ bool(view % 2)
                seed = tf.constant([plan.config.seed, number])
                yield augment(tf.constant(block), seed, tf.constant(mirror)).numpy()
                start, number = start + len(block), number + 1

    def _key(self, augmentation: Augmentation, plan: Plan) -> str:
        parts = (fingerprint(self._trunk), self._frozen, augmentation, plan.config.seed, len(plan.images))
        digest = hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16)
        for weight in self._trunk.weights:
            digest.update(weight.numpy().tobytes())
        return digest.hexdigest()


def _traced(model: keras.Model) -> Callable[[Any], Any]:
    fast = fast_copy(model)

    def through(images: Any) -> Any:
        return fast(tf.cast(images, tf.float32), training=False)

    traced: Callable[[Any], Any] = tf.function(through, autograph=False, reduce_retracing=True)
    return traced


def _fill(array: Any, through: Callable[[Any], Any], blocks: Iterator[NDArray[Any]], description: str) -> None:
    """Put what a network makes of blocks into an array, one after the other."""
    start = 0
    with console.progress_bars() as bars, console.told_late(description):
        task = bars.add_task(description, total=len(array))
        for block in blocks:
            array[start : start + len(block)] = through(tf.constant(block)).numpy()
            start += len(block)
            bars.update(task, completed=start)


def start_head(network: keras.Model, images: Images, labels: NDArray[np.int64]) -> None:
    """Start the head of a network, or of the end of one, from a logistic regression.

    Args:
        network: of `backbones`.
        images: N that it takes.
        labels: (N,) their classes.
    """
    model = backbones.features_of(network)
    features = np.empty((len(images), model.output_shape[-1]), np.float32)
    _fill(features, _traced(model), images.blocks(batch_size(images.shape)), "Starting the head")
    backbones.start_head(network, features, labels)
