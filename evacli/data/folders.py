"""A folder of images becomes arrays: looks at all headers, decides on one size, decodes, and names every bad file."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evacli import console, memory
from evacli.config import Config
from evacli.data import pictures, tree
from evacli.data.hostile import reason
from evacli.data.images import InMemory
from evacli.data.names import from_file
from evacli.data.pictures import Size
from evacli.data.subset import choose
from evacli.data.tree import Listing, Tree
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.messages import listed

MAX_SIDE = 224
# Smaller images spend their time in Python, where threads only get in each other's way.
WORTH_THREADS = 128 * 128

T = TypeVar("T")
Problems = dict[Path, str]


def read(root: Path, config: Config) -> Source:
    """Load a folder of images.

    All images are brought to the most common size of the training images, scaled down to at most `MAX_SIDE` pixels a
    side. With `--limit-train` or `--limit-test` only the chosen files are opened.

    Raises:
        DataError: if the folder is not laid out as expected; naming the files that cannot be used, unless `--skip-bad`
            says to go on without them.
    """
    found = tree.scan(root)
    limits = {tree.TRAIN: config.limit_train, tree.TEST: config.limit_test}
    listings = {role: _limited(files, limits.get(role), config.seed) for role, files in found.splits.items()}
    with warnings.catch_warnings():
        # Pillow's remarks on files do not say on which.
        warnings.simplefilter("ignore")
        splits, problems = _decoded(root, listings)
    _tell(root, found.problems | problems, skip=config.skip_bad)
    return Source(splits[tree.TRAIN], splits[tree.TEST], found.class_names, splits.get(tree.VALIDATION))


def read_part(root: Path, found: Tree, size: Size, *, skip_bad: bool) -> Split:
    """Load one part of a folder of images at a size that is given.

    Args:
        root: the folder.
        found: what `tree.scan_part` has found in it.
        size: width and height.
        skip_bad: whether to go on without files that cannot be used.

    Raises:
        DataError: naming the files that cannot be used, unless they are to be skipped; or if no file is left.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        splits, problems = _decoded(root, found.splits, size)
    _tell(root, found.problems | problems, skip=skip_bad)
    (split,) = splits.values()
    if not len(split):
        raise DataError(f"No image in {root} can be used.", "Name a folder that has some.")
    return split


def _limited(files: Listing, count: int | None, seed: int) -> Listing:
    if count is None or count >= len(files.paths):
        return files
    return files.take(choose(files.labels, count, seed))


def _decoded(
    root: Path, listings: Mapping[str, Listing], size: Size | None = None
) -> tuple[dict[str, Split], Problems]:
    """Read images at a size, by default the most common one of the training images."""
    every_path = [path for files in listings.values() for path in files.paths]
    sizes, problems = _each(pictures.size, every_path, "looking at images")
    leading = next(iter(listings.values())).paths  # the training images, where there are some
    original = _most_common(sizes[path] for path in leading if path in sizes)
    limits = "" if size else "Use --limit-train and --limit-test, or smaller images."
    size = size or _fitted(original)
    workers = (os.cpu_count() or 1) if original[0] * original[1] > WORTH_THREADS else 1
    count = len(every_path)
    memory.require(
        count * size[0] * size[1] * 3,
        f"{count:,} images of {size[0]}x{size[1]} pixels take",
        limits or "Name fewer images.",
        doubt=1,
    )
    # As all images get one size, they are decoded into place.
    images = {role: np.empty((len(files.paths), size[1], size[0], 3), np.uint8) for role, files in listings.items()}
    places = dict(zip(every_path, (place for split in images.values() for place in split), strict=True))

    def decode(path: Path) -> None:
        places[path][...] = pictures.pixels(path, size)

    done, garbled = _each(decode, list(sizes), "reading images", workers)
    if resized := sum(sizes[path] != size for path in done):
        tell_resized(resized, len(done), size)
    splits = {role: _split(root, files, images[role], done) for role, files in listings.items()}
    return splits, problems | garbled


def tell_resized(resized: int, of: int, size: Size) -> None:
    """Warn that images have been brought to a size."""
    were = "was" if resized == 1 else "were"
    console.warn(f"{resized:,} of {of:,} images {were} resized to {size[0]}x{size[1]} pixels.")


def _each(
    action: Callable[[Path], T], paths: Sequence[Path], description: str, workers: int = 1
) -> tuple[dict[Path, T], Problems]:
    """Return what `action` makes of each path; where it fails, the reason."""

    def attempt(path: Path) -> T | DataError:
        try:
            return action(path)
        # Pillow on hostile bytes raises whatever its code runs into.
        except Exception as e:
            return DataError(reason(e))

    results: dict[Path, T] = {}
    problems: Problems = {}
    with ThreadPoolExecutor(workers) as pool:
        outcomes = (pool.map if workers > 1 else map)(attempt, paths)
        for path, outcome in zip(paths, console.track(outcomes, description, total=len(paths)), strict=True):
            if isinstance(outcome, DataError):
                problems[path] = outcome.message
            else:
                results[path] = outcome
    return results, problems


def _most_common(sizes: Iterable[Size]) -> Size:
    # Where no image can be used any size will do: the error names them all.
    return next((size for size, _ in Counter(sizes).most_common(1)), (1, 1))


def _fitted(size: Size) -> Size:
    """`size` scaled down to at most MAX_SIDE pixels a side."""
    scale = min(1, MAX_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _split(root: Path, files: Listing, images: NDArray[np.uint8], done: Mapping[Path, None]) -> Split:
    good = [i for i, path in enumerate(files.paths) if path in done]
    names = [_name(root, files.paths[i]) for i in good]
    kept = images if len(good) == len(images) else images[good]
    return Split(InMemory(kept), files.labels[good], names)


def _name(root: Path, path: Path) -> str:
    return from_file(path.relative_to(root).as_posix())


def _tell(root: Path, problems: Problems, *, skip: bool) -> None:
    """Names the files that cannot be used: as an error, or as a warning if they are to be skipped."""
    if not problems:
        return
    named = listed([f"{_name(root, path)} ({problem})" for path, problem in sorted(problems.items())])
    count = "1 file" if len(problems) == 1 else f"{len(problems):,} files"
    if skip:
        console.warn(f"Going on without {count} in {root}: {named}.")
    else:
        raise DataError(
            f"{count} in {root} cannot be used: {named}.",
            "Repair or remove them, or add --skip-bad to go on without them.",
        )
