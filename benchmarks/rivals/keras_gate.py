"""The gate as a Keras callback."""

from typing import Any

import keras

from rivals.gate import Gate


class PassGate(keras.callbacks.Callback):
    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.gate.step_done()
