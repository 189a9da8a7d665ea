"""PyTorch at its best on a card: images and augmentation on it, channels last, fused SGD, autocast, torch.compile."""

import torch
from torch.nn import functional as F  # noqa: N812

from rivals.gate import training_images
from rivals.gpu_gate import Gate, options
from rivals.pytorch import CROP, MEAN, augmented, count, groups, network, normalised


def main() -> None:
    chosen = options("--compile")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    torch.backends.cudnn.benchmark = True
    pixels, labels = (torch.from_numpy(array).to(device) for array in training_images(chosen.data))
    padded = torch.stack([F.pad(pixels[..., c], (CROP,) * 4, value=int(MEAN[c])) for c in range(3)], dim=-1)
    model = network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(groups(model), lr=0.01, momentum=0.9, fused=True)

    def loss_of(images: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, getattr(torch, chosen.precision), enabled=chosen.precision != "float32"):
            scores = model(normalised(images))
        return F.cross_entropy(scores.float(), wanted)

    augment = torch.compile(augmented) if chosen.compile else augmented
    loss_of = torch.compile(loss_of) if chosen.compile else loss_of
    steps = len(pixels) // chosen.batch_size
    gate = Gate(
        images=steps * chosen.batch_size, parameters=count(model), framework=f"PyTorch {torch.__version__} on {device}"
    )
    while True:
        for some in torch.randperm(len(pixels)).split(chosen.batch_size)[:steps]:
            optimizer.zero_grad(set_to_none=True)
            loss_of(augment(padded, some), labels[some]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        gate.step_done()


if __name__ == "__main__":
    main()
