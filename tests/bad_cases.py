"""What a case of a bad input is, and what all of them begin with."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from evacli_processes import Ended, Evacli
from PIL import Image

FAST = ("--model", "net.py:tiny", "--batch-size", 4, "--lr", 0.05, "--epochs", 1, "--precision", "float32")
TRAIN = ("train", "--data", "data", "--run", "new", *FAST)
SECRET = "secret.txt"  # lies outside, and must stay as it is
RNG = np.random.default_rng(0)

Command = Sequence[object]
Make = Callable[[Path], Sequence[Command] | None]


@dataclass(frozen=True)
class Case:
    """An input: `make` writes it into a folder and gives the command lines, None for a plain training on `data`."""

    group: str
    title: str
    make: Make

    def answer(self, evacli: Evacli, shared: Path, around: Path) -> Ended:
        """What evacli says to it, working in a folder in `around`; `shared` is what `prepare` made."""
        folder = shutil.copytree(shared, around / "work", symlinks=True)
        (around / SECRET).write_text(SECRET)
        *before, last = self.make(folder) or [TRAIN]
        for command in before:
            ended = evacli(*command, cwd=folder)
            if ended.code:
                raise RuntimeError(f"{command}: {ended.err}")
        return evacli(*last, cwd=folder)


def prepare(evacli: Evacli, folder: Path) -> None:
    """What the cases begin with: a folder of images, a network and a run trained on both."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(4):
                picture(folder / "data" / split / name / f"{i}.png")
    shutil.copy(Path(__file__).with_name("tiny_networks.py"), folder / "net.py")
    ended = evacli("train", "--data", "data", "--run", "run", *FAST, cwd=folder)
    if ended.code:
        raise RuntimeError(ended.err)


def picture(path: Path, size: tuple[int, int] = (12, 10), **options: Any) -> Image.Image:
    """Writes an image of noise, in the format `PNG` unless another is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), np.uint8))
    image.save(path, **({"format": "PNG"} | options))
    return image


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ../touched",)
