"""Writes `.keras` files as a stranger might: valid archives whose parts were changed."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from evacli.models.saved import WEIGHTS

Parts = dict[str, bytes]


def parts(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: Parts, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def configured(content: Parts, change: Callable[[list[dict[str, Any]]], object]) -> Parts:
    """The parts with the configuration of their layers changed."""
    config = json.loads(content["config.json"])
    change(config["config"]["layers"])
    return content | {"config.json": json.dumps(config).encode()}


def weights(**arrays: dict[str, Any]) -> bytes:
    """An HDF5 file with a dataset of each of these settings."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, settings in arrays.items():
            file.create_dataset(name, **settings)
    return out.getvalue()


def layer(described: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(one for one in described if one["class_name"] == kind)


def wide(described: list[dict[str, Any]]) -> None:
    layer(described, "Dense")["config"]["units"] = 2_000_000_000


def compressed(content: Parts) -> Parts:
    return content | {WEIGHTS: weights(a={"shape": (2**29,), "dtype": "f4", "compression": "gzip"})}


def hollow(content: Parts) -> Parts:
    return content | {WEIGHTS: weights(a={"shape": (2**29,), "dtype": "f4"})}
