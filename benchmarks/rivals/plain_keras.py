"""Plain Keras at its best: augmentation of whole batches in a tf.data graph, labels as integers, mixed precision."""

import keras
import tensorflow as tf

from evacli import models
from evacli.engine.augment import Augmentation
from rivals.gate import Gate, parser, training_images
from rivals.keras_gate import PassGate


def main() -> None:
    options = parser().parse_args()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[options.precision])
    model = models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    # On a CPU Keras leaves XLA off by itself, too; with it this step takes longer.
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    gate = Gate(parameters=model.count_params(), framework=f"Keras {keras.__version__}")
    model.fit(batches(options.data, options.batch_size), callbacks=[PassGate(gate)], verbose=0)


def batches(path: str, batch_size: int) -> tf.data.Dataset:
    """evacli's augmentation, on batches of shuffled images, without end."""
    pixels, labels = training_images(path)
    images, targets = tf.constant(pixels), tf.constant(labels, tf.int32)
    augment = Augmentation(cutout=16, crop=4, flip=True, fill=(125, 123, 114))

    def make(number: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return augment(tf.gather(images, indices), tf.stack([0, number])), tf.gather(targets, indices)

    order = tf.data.Dataset.range(len(pixels)).shuffle(len(pixels)).repeat()
    numbered = order.batch(batch_size, drop_remainder=True).enumerate()
    return numbered.map(make, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main()
