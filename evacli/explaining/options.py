"""What can be asked for: which images are explained, of which class, and by which method."""

from typing import Literal

import msgspec

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


class Faithfulness(msgspec.Struct, frozen=True):
    """What is left of the probability of the explained class when a share of the pixels is removed.

    Attributes:
        maps: which maps said what is removed.
        most: with the pixels removed that these have most of: the lower, the better.
        least: with those that they have least of: the higher, the better.
    """

    maps: str
    most: float
    least: float

    @property
    def gap(self) -> float:
        """How far the two are apart: 0 for maps that know nothing, at most 1."""
        return self.least - self.most
