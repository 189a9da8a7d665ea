"""The cells of examples/lr_regret.py: what is trained, in two halves that were drawn up before anything was measured.

Constants of the range test were chosen on the first half; the second was looked at once, to judge.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Images:
    """A data set, made smaller so that a training takes seconds.

    Attributes:
        named: what the command line calls it; empty for what comes with evacli.
        source: settings of evacli.
        side: in pixels; each is the mean of those that it stands for.
        flip: whether mirrored images mean the same.
    """

    named: str
    source: dict[str, Any]
    side: int
    flip: bool


IMAGES = {
    "digits": Images("", {"dataset": "digits"}, 8, flip=False),
    "CIFAR-10, 8 px": Images("CIFAR-10", {"limit_train": 6000, "limit_test": 2000}, 8, flip=True),
    "CIFAR-10, 12 px": Images("CIFAR-10", {"limit_train": 4000, "limit_test": 2000}, 12, flip=True),
    "CIFAR-10, 16 px": Images("CIFAR-10", {"limit_train": 4000, "limit_test": 2000}, 16, flip=True),
    "clothes, 16 px": Images("clothes", {"image_size": 32}, 16, flip=True),
}


@dataclass(frozen=True)
class Cell:
    """A training whose best learning rate is looked for."""

    half: str
    images: str
    network: str
    optimizer: str
    batch_size: int
    schedule: str
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.images}, {self.network}, {self.optimizer}, {self.batch_size}, {self.schedule}"

    @property
    def settings(self) -> dict[str, Any]:
        named = self.network in ("eva", "resnet20")
        return {
            "model": self.network if named else f"{HERE / 'lr_regret_networks.py'}:{self.network}",
            "flip": IMAGES[self.images].flip,
            "optimizer": self.optimizer,
            "batch_size": self.batch_size,
            "schedule": self.schedule,
            "epochs": self.epochs,
            "precision": "float32",
        }


CELLS = (
    Cell("seen", "digits", "mlp", "momentum", 32, "one-cycle", 8),
    Cell("seen", "digits", "conv_batchnorm", "adam", 16, "cosine", 4),
    Cell("seen", "digits", "conv_layernorm", "sgd", 64, "constant", 12),
    Cell("seen", "digits", "vit", "adamw", 64, "one-cycle", 16),
    Cell("seen", "CIFAR-10, 12 px", "conv_batchnorm", "nesterov", 128, "one-cycle", 9),
    Cell("seen", "CIFAR-10, 12 px", "conv_plain", "rmsprop", 32, "linear", 2),
    Cell("seen", "CIFAR-10, 12 px", "conv_groupnorm", "momentum", 64, "step", 5),
    Cell("seen", "CIFAR-10, 12 px", "residual", "muon", 128, "one-cycle", 4),
    Cell("seen", "CIFAR-10, 8 px", "mlp_batchnorm", "lion", 256, "cosine", 8),
    Cell("seen", "CIFAR-10, 8 px", "conv_plain", "adagrad", 64, "constant", 2),
    Cell("seen", "CIFAR-10, 8 px", "mlp", "sgdw", 1024, "one-cycle", 20),
    Cell("seen", "clothes, 16 px", "depthwise", "adam", 64, "one-cycle", 4),
    Cell("unseen", "digits", "conv_plain", "sgd", 16, "one-cycle", 2),
    Cell("unseen", "digits", "conv_groupnorm", "muon", 128, "cosine", 12),
    Cell("unseen", "digits", "mlp_batchnorm", "rmsprop", 64, "one-cycle", 8),
    Cell("unseen", "digits", "depthwise", "nesterov", 32, "linear", 4),
    Cell("unseen", "digits", "vit", "adam", 128, "cosine", 10),
    Cell("unseen", "CIFAR-10, 12 px", "residual", "momentum", 32, "one-cycle", 1),
    Cell("unseen", "CIFAR-10, 12 px", "conv_batchnorm", "adam", 256, "one-cycle", 8),
    Cell("unseen", "CIFAR-10, 12 px", "conv_layernorm", "sgd", 256, "exponential", 8),
    Cell("unseen", "CIFAR-10, 8 px", "mlp", "lion", 64, "one-cycle", 2),
    Cell("unseen", "CIFAR-10, 8 px", "mlp_batchnorm", "adadelta", 1024, "step", 20),
    Cell("unseen", "clothes, 16 px", "conv_batchnorm", "momentum", 32, "constant", 2),
    Cell("unseen", "CIFAR-10, 16 px", "eva", "momentum", 64, "one-cycle", 2),
)
