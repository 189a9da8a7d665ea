"""The weights that others have trained for a network: opening their file, which may come from a stranger.

No code in it runs, and nothing of it is larger than the file itself. What is taken from it are numbers, in arrays of
the shapes that the network has.
"""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from evacli import console, paths
from evacli.backend import hushed, keras
from evacli.catalogue.networks import NETWORKS, Pretrained
from evacli.config import Config
from evacli.data.downloads import own_progress_bar
from evacli.errors import ModelError
from evacli.models import backbones, saved
from evacli.models.nested import all_layers
from evacli.run.summary import Origin

# Arrays by the names of their layer and of themselves, or their number in the layer.
Named = Mapping[tuple[str, str], Any]
FIX = "Name the --model that they are of."
KINDS = "Expected: the weights of a Keras network without its classes (.weights.h5 or .h5), or a whole one (.keras)."


def start(network: keras.Model, config: Config) -> Origin | None:
    """Give a network that `models.build` made the weights that its configuration names; None where it names none.

    Returns:
        Where they come from.

    Raises:
        ModelError: if they cannot be had, or are of another network.
    """
    if not config.starts_pretrained:
        return None
    path, origin = _find(config)
    with console.status("Reading the weights"):
        fill(network, path)
    return origin


def require_same(config: Config, before: Origin, fix: str) -> None:
    """Refuse to go on from other weights than a training began with; `fix` says what to do.

    Raises:
        ModelError: in that case, or if they cannot be had.
    """
    _, origin = _find(config)
    if origin.sha256 != before.sha256:
        raise ModelError(f"--weights {origin.source}: these are not the weights that the run began with.", fix)


def _find(config: Config) -> tuple[Path, Origin]:
    known = NETWORKS[config.model].pretrained
    assert known is not None
    path = _downloaded(known, config.model) if config.weights == "imagenet" else Path(str(config.weights))
    shown = paths.shown(str(path))
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise ModelError(f"--weights {shown}: {e.strerror or e}.", KINDS) from e
    if config.weights == "imagenet":
        return path, Origin(weights="imagenet", source=known.url, licence=known.licence, sha256=digest)
    return path, Origin(weights=path.name, source=paths.absolute(str(path)), licence="licence not known", sha256=digest)


def fill(network: keras.Model, path: Path) -> None:
    """Give the layers of a network before its head the weights in a file.

    Args:
        network: which `models.build` made.
        path: the file.

    Raises:
        ModelError: if the file is damaged, larger inside than outside, no file of weights, or of another network.
    """
    layers = [layer for layer in backbones.backbone_layers(network) if layer.weights]
    wanted = [weight for layer in layers for weight in layer.weights]
    try:
        arrays = _arrays(path, network)
        found = arrays if isinstance(arrays, list) else _by_name(arrays, layers, path, network.name)
    except ModelError as e:
        raise ModelError(f"--weights {e.message}", e.fix or KINDS) from e
    except Exception as e:  # of a stranger's bytes, whatever the first parser that stumbles over them raises
        raise ModelError(f"--weights {paths.shown(str(path))}: {saved.first_sentence(e)}", KINDS) from e
    if [array.shape for array in found] != [tuple(weight.shape) for weight in wanted]:
        raise ModelError(f"--weights {_not_of(path, network.name, _difference(found, wanted))}", FIX)
    if not all(np.isfinite(array).all() for array in found):
        raise ModelError(f"--weights {paths.shown(str(path))} has weights that are not numbers.", "Use another file.")
    for weight, array in zip(wanted, found, strict=True):
        weight.assign(array)


def _downloaded(known: Pretrained, model: str) -> Path:
    """Return the file with the weights of ImageNet, which is downloaded at the first use."""
    home = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    file = home / "models" / known.url.rpartition("/")[2]
    try:
        with own_progress_bar(f"downloading the weights of {model} (MB)"):
            keras.utils.get_file(
                file.name, known.url, cache_dir=str(home), cache_subdir="models", file_hash=known.digest or None
            )
    except Exception as e:  # Keras itself raises a bare Exception for a failed download
        raise ModelError(
            f"Cannot download the weights of {model}: {saved.first_sentence(e)}",
            f"Put {file.name} into {paths.shown(str(file.parent))}, or name it where it lies with --weights PATH; "
            "--weights none starts from random ones.",
        ) from e
    return file


def _arrays(path: Path, network: keras.Model) -> list[NDArray[Any]] | Named:
    """Return the arrays in a file: in the order of the network, or by name."""
    if zipfile.is_zipfile(path):
        layers = list(all_layers(saved.load(path)))
        # By their number: not every layer gives its weights the same names when it is loaded.
        return {(layer.name, str(i)): each.numpy() for layer in layers for i, each in enumerate(layer.weights)}
    if not path.is_file() or not h5py.is_hdf5(path):
        raise ValueError("it is no file of weights")
    with h5py.File(path) as file:
        saved.check_arrays(file, path.stat().st_size)
        stored = dict(_datasets(file))
        of_keras_3 = "_layer_checkpoint_dependencies" in file or "layers" in file
        if not of_keras_3 and "layer_names" not in file.attrs:  # a whole network of Keras 2
            return {name: np.asarray(dataset) for name, dataset in stored.items()}
    return _read_by_keras(path, network, ".weights.h5" if of_keras_3 else ".h5")


def _read_by_keras(path: Path, network: keras.Model, suffix: str) -> list[NDArray[Any]]:
    """Let Keras find the weights of a bare network, which it does by their order, in a file named as it wants."""
    bare = backbones.bare(backbones.KINDS[network.name], keras.Input(network.input_shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"backbone{suffix}"
        link.symlink_to(path.resolve())
        try:
            with hushed():  # what fits is said below
                bare.load_weights(link)
        except ValueError as e:
            raise ModelError(_not_of(path, network.name, saved.first_sentence(e)), FIX) from e
    return [weight.numpy() for layer in all_layers(bare) for weight in layer.weights]


def _datasets(file: h5py.File) -> Iterator[tuple[tuple[str, str], Any]]:
    members: list[tuple[str, Any]] = []
    file.visititems(lambda name, member: members.append((name, member)))
    for name, member in members:
        if isinstance(member, h5py.Dataset):
            *_, layer, weight = ("", *name.split("/"))
            yield (layer, weight.partition(":")[0]), member


def _by_name(arrays: Named, layers: list[Any], path: Path, model: str) -> list[NDArray[Any]]:
    found = []
    for layer in layers:
        for number, weight in enumerate(layer.weights):
            array = arrays.get((layer.name, weight.name), arrays.get((layer.name, str(number))))
            if array is None:
                raise ModelError(_not_of(path, model, f"it has no weights for the layer {layer.name}."), FIX)
            found.append(np.asarray(array))
    return found


def _difference(found: list[NDArray[Any]], wanted: list[Any]) -> str:
    for array, weight in zip(found, wanted, strict=False):
        if array.shape != tuple(weight.shape):
            return f"{weight.path} is {tuple(weight.shape)} there, and {array.shape} in the file."
    return f"that has {len(wanted)} arrays, and the file {len(found)}."


def _not_of(path: Path, model: str, reason: str) -> str:
    return f"{paths.shown(str(path))} does not have the weights of {model}: {reason}"
