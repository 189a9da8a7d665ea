"""What can be asked for: which images are explained, of which class, and by which method."""

from typing import Literal

Of = Literal["mistakes", "correct", "all"]
Select = Literal["worst", "random", "first"]
Kind = Literal["mistakes", "correct", "all", "least certain", "named"]
Target = Literal["pred", "true", "both"]
Method = Literal["gradcam", "gradcam++", "hirescam", "layercam", "occlusion"]

# What people call them.
TITLES: dict[Method, str] = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "occlusion": "Occlusion",
}
