"""PyTorch at its best on a CPU: channels last, augmentation of whole batches, fused SGD, autocast, torch.compile."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import Optimizer

from rivals.gate import Gate, parser, training_images

MEAN, STD = (125.0, 123.0, 114.0), (63.0, 62.0, 67.0)
CROP, CUTOUT = 4, 16

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    options = parse()
    model = network()
    optimizer = torch.optim.SGD(groups(model), lr=0.01, momentum=0.9, fused=True)
    train(options, model, optimizer, F.cross_entropy, batches(options.data, options.batch_size))


def parse() -> Namespace:
    arguments = parser()
    arguments.add_argument("--compile", action="store_true")
    return arguments.parse_args()


def train(options: Namespace, model: nn.Module, optimizer: Optimizer, loss: Loss, batches: Iterator[Batch]) -> None:
    """Steps until the gate has seen enough; `loss` is of scores (B, C) and labels (B,)."""
    use_all_cores()
    model.to(memory_format=torch.channels_last)
    loss_of = lossy(model, options.precision, loss)
    if options.compile:
        loss_of = torch.compile(loss_of)
    gate = Gate(parameters=count(model), framework=f"PyTorch {torch.__version__}")
    for images, labels in batches:
        optimizer.zero_grad(set_to_none=True)
        loss_of(images, labels).backward()
        optimizer.step()
        gate.step_done()


def use_all_cores() -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def network() -> nn.Sequential:
    """Layers in evacli's order; epsilon and momentum are Keras' defaults."""
    layers: list[nn.Module] = []
    channels = 3
    for squeeze, first, second, rate in ((None, 32, 64, 0.2), (32, 64, 128, 0.3), (32, 128, 256, 0.5)):
        if squeeze:
            layers.append(nn.Conv2d(channels, squeeze, 1))
            channels = squeeze
        for filters in (first, second):
            norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True), norm]
            channels = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(rate)]
    return nn.Sequential(*layers, nn.Conv2d(channels, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def count(model: nn.Module) -> int:
    """Parameters as Keras counts them, moving statistics included."""
    statistics = [b for name, b in model.named_buffers() if not name.endswith("num_batches_tracked")]
    return sum(t.numel() for t in [*model.parameters(), *statistics])


def groups(model: nn.Module) -> list[dict[str, object]]:
    """The L2 penalty 1e-4 w^2 of the 3x3 kernels, as its gradient 2e-4 w."""
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[-1] == 3]
    rest = [p for p in model.parameters() if not any(p is k for k in kernels)]
    return [{"params": kernels, "weight_decay": 2e-4}, {"params": rest}]


def lossy(model: nn.Module, precision: str, loss: Loss) -> Loss:
    model.train()

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        x = normalised(images)
        with computing_in(precision):
            scores = model(x)
        return loss(scores.float(), labels)

    return loss_of


def normalised(images: Tensor) -> Tensor:
    """(B, 3, H, W), channels last in memory, of (B, H, W, 3) pixels."""
    return ((images.float() - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def computing_in(precision: str) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def batches(path: str, size: int) -> Iterator[Batch]:
    """Shuffled, mirrored, shifted and cut out, as evacli does it, without end."""
    pixels, labels = map(torch.from_numpy, training_images(path))
    sides = (CROP, CROP)
    padded = torch.stack([F.pad(pixels[..., c], sides * 2, value=int(MEAN[c])) for c in range(3)], dim=-1)
    while True:
        for chosen in torch.randperm(len(pixels)).split(size)[: len(pixels) // size]:
            yield augmented(padded, chosen), labels[chosen]


def augmented(padded: Tensor, chosen: Tensor) -> Tensor:
    """(B, 32, 32, 3) uint8 of (N, 40, 40, 3) padded images."""
    images = shifted(padded, chosen, CROP, torch.rand(len(chosen)) < 0.5)
    batch, side = images.shape[:2]
    positions = torch.arange(side)
    down, right = (inside(torch.randint(0, side, (batch, 1)), positions) for _ in range(2))
    hole = (down[:, :, None] & right[:, None, :])[..., None]  # (B, H, W, 1)
    return torch.where(hole, torch.tensor(MEAN, dtype=torch.uint8), images)


def shifted(padded: Tensor, chosen: Tensor, crop: int, mirrored: Tensor) -> Tensor:
    """(B, H, W, 3) windows of (N, H + 2 crop, W + 2 crop, 3) padded images, those that are `mirrored` (B,) so."""
    batch, positions = len(chosen), torch.arange(padded.shape[1] - 2 * crop)
    rows = positions + torch.randint(0, 2 * crop + 1, (batch, 1))  # (B, H)
    columns = positions + torch.randint(0, 2 * crop + 1, (batch, 1))  # (B, W)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def inside(centre: Tensor, positions: Tensor) -> Tensor:
    start = centre - CUTOUT // 2
    return (positions >= start) & (positions < start + CUTOUT)


if __name__ == "__main__":
    main()
