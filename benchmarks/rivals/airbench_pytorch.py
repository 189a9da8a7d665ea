"""airbench94's training step in PyTorch (Jordan 2024, arXiv 2404.00498), channels last, with its own augmentation."""

import os
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from rivals.gate import Gate, parser, training_images

MEAN, STD = (125.0, 123.0, 114.0), (63.0, 62.0, 67.0)
CROP, WIDTHS = 2, (64, 256, 256)


def main() -> None:
    arguments = parser()
    arguments.add_argument("--compile", action="store_true")
    options = arguments.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = network().to(memory_format=torch.channels_last).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.85, nesterov=True, fused=True)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        x = ((images.float() - mean) / std).permute(0, 3, 1, 2)  # (B, 3, H, W), channels last in memory
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            scores = model(x) / 9
        return F.cross_entropy(scores.float(), labels, label_smoothing=0.2)

    step = torch.compile(loss_of) if options.compile else loss_of
    parameters = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    gate = Gate(parameters=parameters, framework=f"PyTorch {torch.__version__}")
    for images, labels in batches(options.data, options.batch_size):
        optimizer.zero_grad(set_to_none=True)
        step(images, labels).backward()
        optimizer.step()
        gate.step_done()


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


def batches(path: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, mirrored and shifted by up to two pixels, without end."""
    pixels, labels = map(torch.from_numpy, training_images(path))
    padded = F.pad(pixels.permute(0, 3, 1, 2).float(), (CROP,) * 4, mode="reflect").to(torch.uint8).permute(0, 2, 3, 1)
    side = torch.arange(pixels.shape[1])
    while True:
        for chosen in torch.randperm(len(pixels)).split(size)[: len(pixels) // size]:
            rows = side + torch.randint(0, 2 * CROP + 1, (size, 1))  # (B, H)
            columns = side + torch.randint(0, 2 * CROP + 1, (size, 1))  # (B, W)
            columns = torch.where(torch.rand(size, 1) < 0.5, columns.flip(1), columns)
            yield padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]], labels[chosen]


if __name__ == "__main__":
    main()
