"""airbench94_muon's network, optimizers and schedule, written anew from its published settings (Jordan 2024).

Eight epochs in batches of 2,000, in float16, images and augmentation on the card. Trains twice, and prints a JSON line
on the second time: the first one warms up, as its author has it.
"""

import json
import math
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from rivals.airbench94 import initialise
from rivals.airbench_pytorch import CROP, network, padded_by_reflection
from rivals.gate import parser, training_images
from rivals.pytorch import normalised, shifted

BATCH, EPOCHS, WHITENING_BIAS_EPOCHS = 2000, 8, 3
BIAS_LR, HEAD_LR, DECAY, MOMENTUM = 0.053, 0.67, 2e-6 * BATCH, 0.85
MUON_LR, MUON_MOMENTUM, ROUNDS, COEFFICIENTS = 0.24, 0.6, 3, (3.4445, -4.7750, 2.0315)
WHITENED = 5000


def main() -> None:
    arguments = parser()
    arguments.add_argument("--epochs", type=int, default=EPOCHS)
    options = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    torch.backends.cudnn.benchmark = True
    pixels, labels = (torch.from_numpy(array).to(device) for array in training_images(options.data))
    with np.load(options.data) as arrays:
        tests = [torch.from_numpy(arrays[name]).to(device) for name in ("x_test", "y_test")]
    for _ in range(2):
        facts = train(pixels, labels, tests, options.epochs, device)
    print(json.dumps({"device": torch.cuda.get_device_name() if device == "cuda" else device} | facts), flush=True)


def train(pixels: Tensor, labels: Tensor, tests: list[Tensor], epochs: int, device: str) -> dict[str, Any]:
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    model = made(pixels, torch.float16 if device == "cuda" else torch.bfloat16)
    kind = model[0].weight.dtype
    wait()
    began = perf_counter()
    padded, mirrored = padded_by_reflection(pixels), torch.rand(len(pixels)) < 0.5
    optimizers = [sgd(model), Muon([p for p in model.parameters() if p.ndim == 4 and p.requires_grad], lr=MUON_LR)]
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    size = min(BATCH, len(pixels))
    per_epoch = len(pixels) // size
    total = per_epoch * epochs
    for step in range(total):
        if step % per_epoch == 0:
            dealt, mirrored = torch.randperm(len(pixels)).split(size), ~mirrored
        some = dealt[step % per_epoch]
        for optimizer, rates in zip(optimizers, peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                steps = per_epoch * WHITENING_BIAS_EPOCHS if group.get("whitening") else total
                group["lr"] = peak * max(0.0, 1 - step / steps)
        images = normalised(shifted(padded, some, CROP, mirrored[some])).to(kind)
        loss = F.cross_entropy(scores_of(model, images), labels[some], label_smoothing=0.2, reduction="sum")
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    wait()
    trained = perf_counter() - began
    accuracy = tested(model, *tests, kind)
    wait()
    return {
        "training, s": trained,
        "training and last test, s": perf_counter() - began,
        "accuracy with copies": accuracy,
    }


def made(pixels: Tensor, kind: torch.dtype) -> nn.Sequential:
    """The network of airbench94; BatchNorm stays in float32, the last weights have a deviation of 1."""
    model = network()
    initialise(model, normalised(pixels[:WHITENED]))
    with torch.no_grad():
        model[-1].weight.div_(model[-1].weight.std())
    model.to(memory_format=torch.channels_last).to(kind)
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d):
            layer.float()
    return model


def scores_of(model: nn.Sequential, images: Tensor) -> Tensor:
    return model(images) / model[-1].in_features


def sgd(model: nn.Sequential) -> torch.optim.SGD:
    norms = [layer.bias for layer in model if isinstance(layer, nn.BatchNorm2d)]
    groups = [
        {"params": [model[0].bias], "lr": BIAS_LR, "weight_decay": DECAY / BIAS_LR, "whitening": True},
        {"params": norms, "lr": BIAS_LR, "weight_decay": DECAY / BIAS_LR},
        {"params": [model[-1].weight], "lr": HEAD_LR, "weight_decay": DECAY / HEAD_LR},
    ]
    return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, its steps orthogonalised, on kernels of constant norm."""

    def __init__(self, kernels: list[Tensor], lr: float) -> None:
        super().__init__(kernels, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for kernel in group["params"]:
                mean = self.state[kernel].setdefault("mean", torch.zeros_like(kernel.grad))
                mean.mul_(MUON_MOMENTUM).add_(kernel.grad)
                ahead = kernel.grad.add(mean, alpha=MUON_MOMENTUM)
                kernel.mul_(math.sqrt(len(kernel)) / kernel.norm())
                kernel.add_(orthogonal(ahead.reshape(len(kernel), -1)).view(kernel.shape), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


@torch.no_grad()
def tested(model: nn.Sequential, pixels: Tensor, labels: Tensor, kind: torch.dtype) -> float:
    """Accuracy of six views: both mirror images of the image and of two copies moved by a pixel."""
    model.eval()

    def both(x: Tensor) -> Tensor:
        return (scores_of(model, x) + scores_of(model, x.flip(-1))) / 2

    right = 0
    for some, wanted in zip(pixels.split(BATCH), labels.split(BATCH), strict=True):
        x = normalised(some).to(kind)
        around = F.pad(x, (1,) * 4, mode="reflect")
        height, width = x.shape[2:]
        moved = [both(around[:, :, at : at + height, at : at + width]) for at in (0, 2)]
        right += int(((both(x) / 2 + sum(moved) / 4).argmax(1) == wanted).sum())
    return right / len(labels)


if __name__ == "__main__":
    main()
