"""The whole of airbench94 in PyTorch (Jordan 2024, arXiv 2404.00498), from its first step to its last test.

    python -m rivals.airbench94 --data cifar10.npz --precision bfloat16

Prints a JSON line after each epoch, and one at the end: seconds of training, seconds of tests, accuracies.
"""

import json
import math
from argparse import Namespace
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from rivals.airbench_pytorch import CROP, loss, network, padded_by_reflection
from rivals.gate import parser, training_images
from rivals.pytorch import Batch, computing_in, normalised, shifted, use_all_cores

EPOCHS, MOMENTUM = 9.9, 0.85
# Nesterov's steps are this many times the gradients; the paper gives rate and decay for a thousand images of those.
KILOSTEP = 1024 * (1 + 1 / (1 - MOMENTUM))
LR, WEIGHT_DECAY, BIAS_FACTOR = 11.5 / KILOSTEP, 0.0153 / KILOSTEP, 64
START, PEAK, END = 0.2, 0.23, 0.07  # of the learning rate: first factor, where in the run it is 1, last factor
WHITENED, WHITENING_EPSILON, WHITENING_BIAS_EPOCHS = 5000, 5e-4, 3
LOOKAHEAD_STEPS, LOOKAHEAD_DECAY = 5, 0.95
TEST_BATCH = 2000


def main() -> None:
    options = parse()
    torch.manual_seed(options.seed)
    use_all_cores()
    pixels, labels = map(torch.from_numpy, training_images(options.data))
    with np.load(options.data) as arrays:
        test_pixels, test_labels = torch.from_numpy(arrays["x_test"]), torch.from_numpy(arrays["y_test"])
    clock = Clock()
    model = network()
    initialise(model, normalised(pixels[:WHITENED]))
    model.to(memory_format=torch.channels_last)
    per_epoch = len(pixels) // options.batch_size
    total = math.ceil(per_epoch * options.epochs)
    optimizer, schedule = pace(model, options.batch_size, total)
    lookahead = Lookahead(model, total)
    for step, (images, wanted) in enumerate(batches(pixels, labels, options.batch_size, total)):
        model.train()
        if step == WHITENING_BIAS_EPOCHS * per_epoch:
            model[0].bias.requires_grad = False
        with computing_in(options.precision):
            scores = model(normalised(images))
        optimizer.zero_grad(set_to_none=True)
        loss(scores.float(), wanted, "sum").backward()
        optimizer.step()
        schedule.step()
        done = step + 1
        lookahead.after(done)
        if done == total:
            lookahead.finish()
        if done % per_epoch == 0 or done == total:
            clock.training_ends()
            accuracy = share(test(model, test_pixels, options, views=1), test_labels) if options.tests else None
            clock.test_ends()
            say(epoch=done / per_epoch, **clock.facts(), accuracy=accuracy)
    scores = test(model, test_pixels, options, views=6)
    clock.final_test_ends()
    say(**clock.facts(), accuracy=accuracy, accuracy_with_copies=share(scores, test_labels))


def parse() -> Namespace:
    arguments = parser()
    arguments.set_defaults(batch_size=1024)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--epochs", type=float, default=EPOCHS)
    arguments.add_argument("--tests", action="store_true", help="after each epoch, as the published script does")
    return arguments.parse_args()


class Clock:
    """Tells seconds of training from those of the tests."""

    def __init__(self) -> None:
        self.training = self.testing = self.final_test = 0.0
        self._last = perf_counter()

    def training_ends(self) -> None:
        self.training += self._lap()

    def test_ends(self) -> None:
        self.testing += self._lap()

    def final_test_ends(self) -> None:
        self.final_test += self._lap()

    def facts(self) -> dict[str, float]:
        """Seconds so far."""
        return {"training": self.training, "tests": self.testing, "final_test": self.final_test}

    def _lap(self) -> float:
        before, self._last = self._last, perf_counter()
        return self._last - before


def initialise(model: nn.Sequential, images: Tensor) -> None:
    """The first convolution whitens patches of `images` (N, 3, H, W); the others begin by handing their input on."""
    convolutions = [layer for layer in model if isinstance(layer, nn.Conv2d)]
    patches = F.unfold(images, 2).permute(0, 2, 1).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    whitening = (vectors / torch.sqrt(values + WHITENING_EPSILON)).T.flip(0).reshape(12, 3, 2, 2)
    with torch.no_grad():
        convolutions[0].weight.copy_(torch.cat([whitening, -whitening]))
        convolutions[0].bias.zero_()
        for convolution in convolutions[1:]:
            nn.init.dirac_(convolution.weight[: convolution.in_channels])


def pace(model: nn.Sequential, batch_size: int, total: int) -> tuple[torch.optim.SGD, Any]:
    """Nesterov's momentum, faster for what BatchNorm adds, and a rate that rises and falls along straight lines."""
    added = {p for layer in model if isinstance(layer, nn.BatchNorm2d) for p in layer.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    decay = WEIGHT_DECAY * batch_size
    groups = [
        {"params": [p for p in trained if (p in added) == faster], "lr": lr, "weight_decay": decay / lr}
        for faster, lr in ((True, LR * BIAS_FACTOR), (False, LR))
    ]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True, fused=True)
    peak = int(PEAK * total)
    factors = np.interp(np.arange(total + 1), [0, peak, total], [START, 1, END])
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(factors[step]))


class Lookahead:
    """Averages the network with its past, and goes on from the average."""

    def __init__(self, model: nn.Module, total: int) -> None:
        self._now = [t for t in model.state_dict().values() if t.is_floating_point()]
        self._average = [t.clone() for t in self._now]
        self._decays = LOOKAHEAD_DECAY**LOOKAHEAD_STEPS * np.linspace(0, 1, total + 1) ** 3

    def after(self, steps: int) -> None:
        if steps % LOOKAHEAD_STEPS == 0:
            self._move(float(self._decays[steps]))

    def finish(self) -> None:
        self._move(1.0)

    @torch.no_grad()
    def _move(self, decay: float) -> None:
        for now, average in zip(self._now, self._average, strict=True):
            average.lerp_(now, 1 - decay)
            now.copy_(average)


def batches(pixels: Tensor, labels: Tensor, size: int, total: int) -> Iterator[Batch]:
    """`total` batches, shuffled and shifted; half of the images mirrored at first, the others in the next epoch."""
    padded = padded_by_reflection(pixels)
    mirrored = torch.rand(len(pixels)) < 0.5
    per_epoch = len(pixels) // size
    for number in range(total):
        if number % per_epoch == 0:
            dealt, mirrored = torch.randperm(len(pixels)).split(size), ~mirrored
        chosen = dealt[number % per_epoch]
        yield shifted(padded, chosen, CROP, mirrored[chosen]), labels[chosen]


@torch.no_grad()
def test(model: nn.Module, pixels: Tensor, options: Namespace, views: int) -> Tensor:
    """Scores (N, 10) of one view, or of six: both mirror images of the image and of two copies moved by a pixel."""
    model.eval()

    def both(x: Tensor) -> Tensor:
        return (model(x) + model(x.flip(-1))) / 2

    def judged(x: Tensor) -> Tensor:
        if views == 1:
            return model(x)
        padded = F.pad(x, (1,) * 4, mode="reflect")
        height, width = x.shape[2:]
        moved = (both(padded[:, :, at : at + height, at : at + width]) for at in (0, 2))
        return both(x) / 2 + sum(moved) / 4

    with computing_in(options.precision):
        return torch.cat([judged(normalised(some)) for some in pixels.split(TEST_BATCH)])


def share(scores: Tensor, labels: Tensor) -> float:
    return (scores.argmax(1) == labels).double().mean().item()


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
