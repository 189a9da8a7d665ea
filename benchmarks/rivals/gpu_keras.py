"""Plain Keras under XLA: `fit` with many steps an execution, augmentation of whole batches in a tf.data graph."""

import keras

from evacli import models
from rivals.gate import training_images
from rivals.gpu_gate import Gate, options
from rivals.plain_keras import batches


class PassGate(keras.callbacks.Callback):
    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self._gate.step_done()


def main() -> None:
    chosen = options()
    policy = chosen.precision if chosen.precision == "float32" else f"mixed_{chosen.precision}"
    keras.config.set_dtype_policy(policy)
    model = models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    steps = len(training_images(chosen.data)[0]) // chosen.batch_size
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=True, steps_per_execution=min(steps, 32))
    gate = Gate(images=steps * chosen.batch_size, framework=f"Keras {keras.__version__}")
    found = batches(chosen.data, chosen.batch_size)
    model.fit(found, epochs=10**6, steps_per_epoch=steps, callbacks=[PassGate(gate)], verbose=0)


if __name__ == "__main__":
    main()
