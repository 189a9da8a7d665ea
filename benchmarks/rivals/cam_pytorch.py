"""Grad-CAM of pytorch-grad-cam, all images in one call; always enlarges its maps to the size of the images."""

import importlib.util
import sys
from types import ModuleType

import torch

from rivals.cam_images import gate, images
from rivals.pytorch import MEAN, STD, network


def main() -> None:
    stand_in_for_torchvision()
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    pixels, classes = images()
    model = network().to(memory_format=torch.channels_last).eval()
    model[:-3].requires_grad_(False)  # else it would go back through the whole network
    explainer = GradCAM(model=model, target_layers=[model[-3]])
    targets = [ClassifierOutputTarget(int(c)) for c in classes]
    inputs = ((torch.from_numpy(pixels).float() - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    at_gate = gate(explainer(input_tensor=inputs, targets=targets))
    while True:
        explainer(input_tensor=inputs, targets=targets)
        at_gate.step_done()


def stand_in_for_torchvision() -> None:
    """pytorch-grad-cam imports names from it that Grad-CAM itself does not use."""
    if importlib.util.find_spec("torchvision"):
        return
    package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
    for name in ("Compose", "Normalize", "ToTensor", "resize"):
        setattr(transforms, name, None)
    sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}
    sys.modules["torchvision.transforms.functional"] = transforms


if __name__ == "__main__":
    main()
