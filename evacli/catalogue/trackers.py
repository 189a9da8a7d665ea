"""What a training can be logged to: an entry here, and the class that it names, are all that a tracker needs."""

from typing import Literal

Log = Literal["tensorboard", "mlflow", "none"]

# `module:class` of each, as `evacli.training.trackers.Tracker` has it; what it needs is called like itself.
TRACKERS = {
    "tensorboard": "evacli.training.trackers.tensorboard:TensorBoard",
    "mlflow": "evacli.training.trackers.mlflow:MLflow",
}
