"""airbench94's training step in PyTorch (Jordan 2024, arXiv 2404.00498), channels last, with its own augmentation."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from rivals.gate import training_images
from rivals.pytorch import Batch, parse, shifted, train

CROP, WIDTHS = 2, (64, 256, 256)


def main() -> None:
    options = parse()
    model = network()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.85, nesterov=True, fused=True)
    train(options, model, optimizer, loss, batches(options.data, options.batch_size))


def loss(scores: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(scores / 9, labels, label_smoothing=0.2, reduction=reduction)


def network() -> nn.Sequential:
    whitening = nn.Conv2d(3, 24, 2, bias=True)
    whitening.weight.requires_grad = False
    layers: list[nn.Module] = [whitening, nn.GELU()]
    channels = 24
    for filters in WIDTHS:
        layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.MaxPool2d(2), norm(filters), nn.GELU()]
        layers += [nn.Conv2d(filters, filters, 3, padding=1, bias=False), norm(filters), nn.GELU()]
        channels = filters
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(channels, 10, bias=False))


def norm(filters: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(filters, eps=1e-12, momentum=0.4)
    made.weight.requires_grad = False
    return made


def batches(path: str, size: int) -> Iterator[Batch]:
    """Shuffled, mirrored and shifted by up to two pixels, without end."""
    pixels, labels = map(torch.from_numpy, training_images(path))
    padded = padded_by_reflection(pixels)
    while True:
        for chosen in torch.randperm(len(pixels)).split(size)[: len(pixels) // size]:
            yield shifted(padded, chosen, CROP, torch.rand(len(chosen)) < 0.5), labels[chosen]


def padded_by_reflection(pixels: Tensor) -> Tensor:
    """(N, H + 2 CROP, W + 2 CROP, 3) of (N, H, W, 3), uint8."""
    padded = F.pad(pixels.permute(0, 3, 1, 2).float(), (CROP,) * 4, mode="reflect")
    return padded.to(torch.uint8).permute(0, 2, 3, 1)


if __name__ == "__main__":
    main()
