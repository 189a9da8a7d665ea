"""Picture files become arrays: looks at all headers, decides on one size, decodes, and names every bad file."""

import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from evacli import console, memory
from evacli.config import Config
from evacli.data import cache, pictures
from evacli.data.files import File
from evacli.data.hostile import reason
from evacli.data.images import Images, InMemory
from evacli.data.layout import TEST, TRAIN, VALIDATION, Layout, Listing
from evacli.data.pictures import Fit, Size
from evacli.data.subset import choose
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed

MAX_SIDE = 224
# Smaller images spend their time in Python, where threads only get in each other's way.
WORTH_THREADS = 128 * 128
# Of what is free, images may take this, since training needs the rest.
SHARE_OF_MEMORY = 0.5
FEWER = "Use a smaller --image-size, or fewer of them: --limit-train, --limit-test."
HOW = {"stretch": "resized to", "crop": "resized and cropped to", "pad": "resized and padded to"}

T = TypeVar("T")
Problems = dict[str, str]


def read(found: Layout, config: Config, *, asked: bool = True) -> Source:
    """Decode the pictures of a data set.

    All are brought to one size as `--image-size` and `--resize` say, by default the most common size of the training
    images, scaled down to at most `MAX_SIDE` pixels a side. With `--limit-train` or `--limit-test` only the chosen
    files are opened. Those that take more than `--memory` are decoded to disk, once for all commands.

    Args:
        found: the files.
        config: says what is made of them.
        asked: whether a size that the configuration has was asked for by the user, who need not be told of it.

    Raises:
        DataError: naming the files that cannot be used, unless `--skip-bad` says to go on without them.
        MemoryShort: if there is no room for them.
    """
    limits = {TRAIN: config.limit_train, TEST: config.limit_test}
    listings = {role: _limited(files, limits.get(role), config.seed) for role, files in found.splits.items()}
    key = cache.key({role: files.files for role, files in listings.items()}, (config.size, config.resize))
    stored = cache.find(key)
    if stored is None:
        with warnings.catch_warnings():
            # Pillow's remarks on files do not say on which.
            warnings.simplefilter("ignore")
            decoded = _decoded(found, listings, config, key, told=config.size is None or not asked)
    else:
        array, entry, index = stored
        decoded = _Decoded(array, index.good, entry)
        _tell(found.where, found.problems | index.problems, skip=config.skip_bad)
    splits = dict(_splits(listings, decoded))
    return Source(splits[TRAIN], splits.get(TEST), found.class_names, splits.get(VALIDATION))


def read_part(found: Layout, size: Size, fit: Fit, *, skip_bad: bool) -> Split:
    """Decode the pictures of one part, which stands as training images, at a size that is given.

    Raises:
        DataError, MemoryShort: see `read`; or if no file is left.
    """
    config = Config(image_size=f"{size[1]}x{size[0]}", resize=fit, skip_bad=skip_bad)
    split = read(found, config, asked=False).train
    if not len(split):
        raise DataError(f"No image in {found.where} can be used.", "Name a folder that has some.")
    return split


class _Decoded(NamedTuple):
    """Decoded pictures of all splits, one split after the other, and which of them are good."""

    array: NDArray[np.uint8]
    good: list[bool]
    entry: Path | None = None


def _limited(files: Listing, count: int | None, seed: int) -> Listing:
    if count is None or count >= len(files.files):
        return files
    return files.take(choose(files.labels, count, seed))


def _decoded(found: Layout, listings: Mapping[str, Listing], config: Config, key: str, *, told: bool) -> _Decoded:
    every_file = [file for files in listings.values() for file in files.files]
    sizes, problems = _each(pictures.size, every_file, "looking at images")
    original = _most_common(sizes[file.name] for file in listings[TRAIN].files if file.name in sizes)
    size = config.size or _fitted(original)
    workers = (os.cpu_count() or 1) if original[0] * original[1] > WORTH_THREADS else 1
    shape = (len(every_file), size[1], size[0], 3)
    places = {file.name: i for i, file in enumerate(every_file)}

    def fill(array: NDArray[np.uint8]) -> tuple[list[bool], Problems]:
        def decode(file: File) -> None:
            array[places[file.name]] = pictures.pixels(file, size, config.resize)

        done, garbled = _each(decode, [file for file in every_file if file.name in sizes], "reading images", workers)
        _tell(found.where, found.problems | problems | garbled, skip=config.skip_bad)
        if told and (resized := sum(sizes[name] != size for name in done)):
            tell_resized(resized, len(done), size, config.resize)
        return [file.name in done for file in every_file], problems | garbled

    if _fit(math.prod(shape), config):
        array = np.empty(shape, np.uint8)
        return _Decoded(array, fill(array)[0])
    with cache.make(key, found.where, shape) as (mapped, finish):
        good, bad = fill(mapped)
        finish(cache.Index(data=found.where, good=good, problems=bad))
    stored = cache.find(key)
    if stored is None:
        raise DataError(f"{cache.folder()} does not keep what is written to it.", "Name another with EVACLI_CACHE.")
    return _Decoded(stored[0], good, stored[1])


def tell_resized(resized: int, of: int, size: Size, fit: Fit) -> None:
    """Warn that images have been brought to a size."""
    were = "was" if resized == 1 else "were"
    console.warn(f"{resized:,} of {of:,} images {were} {HOW[fit]} {size[0]}x{size[1]} pixels.")


def _fit(needed: int, config: Config) -> bool:
    """Return whether images of `needed` bytes may be held in memory."""
    if config.memory is not None:
        return needed <= config.memory * 2**30
    free = memory.available()
    return free is None or needed <= SHARE_OF_MEMORY * free


def _splits(listings: Mapping[str, Listing], decoded: _Decoded) -> Iterator[tuple[str, Split]]:
    first = 0
    for role, files in listings.items():
        last = first + len(files.files)
        array = decoded.array[first:last]
        images: Images = InMemory(array) if decoded.entry is None else cache.Mapped(array, decoded.entry, first)
        split = Split(images, files.labels, [file.name for file in files.files])
        good = np.flatnonzero(decoded.good[first:last])
        yield role, split if len(good) == len(split) else split.take(good)
        first = last


def of_size(source: Source, config: Config) -> Source:
    """Bring the images of a source, where they come as arrays, to the size that `--image-size` says."""
    if config.size is None:
        return source
    change = partial(split_of_size, size=config.size, fit=config.resize)
    return replace(
        source,
        train=change(source.train),
        test=source.test and change(source.test),
        validation=source.validation and change(source.validation),
    )


def split_of_size(split: Split, size: Size, fit: Fit) -> Split:
    """Bring the images of a split to a size."""
    if split.images.shape[1::-1] == size:
        return split
    shape = len(split), size[1], size[0], 3
    memory.require(math.prod(shape), f"{counted(len(split), 'image')} of {size[1]}x{size[0]} take", FEWER, doubt=1)
    images = np.empty(shape, np.uint8)
    for i, (image,) in enumerate(console.track(split.images.blocks(1), "resizing images", total=len(split))):
        images[i] = pictures.resized(image, size, fit)
    return replace(split, images=InMemory(images))


def _each(
    action: Callable[[File], T], files: Sequence[File], description: str, workers: int = 1
) -> tuple[dict[str, T], Problems]:
    """Return what `action` makes of each file, by name; where it fails, the reason."""

    def attempt(file: File) -> T | DataError:
        try:
            return action(file)
        # Pillow on hostile bytes raises whatever its code runs into.
        except Exception as e:
            return DataError(reason(e))

    results: dict[str, T] = {}
    problems: Problems = {}
    with ThreadPoolExecutor(workers) as pool:
        outcomes = (pool.map if workers > 1 else map)(attempt, files)
        for file, outcome in zip(files, console.track(outcomes, description, total=len(files)), strict=True):
            if isinstance(outcome, DataError):
                problems[file.name] = outcome.message
            else:
                results[file.name] = outcome
    return results, problems


def _most_common(sizes: Iterable[Size]) -> Size:
    # Where no image can be used any size will do: the error names them all.
    return next((size for size, _ in Counter(sizes).most_common(1)), (1, 1))


def _fitted(size: Size) -> Size:
    """`size` scaled down to at most MAX_SIDE pixels a side."""
    scale = min(1, MAX_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _tell(where: str, problems: Problems, *, skip: bool) -> None:
    """Name the files that cannot be used: as an error, or as a warning if they are to be skipped."""
    if not problems:
        return
    named = listed([f"{name} ({problem})" for name, problem in sorted(problems.items())])
    count = "1 file" if len(problems) == 1 else f"{len(problems):,} files"
    if skip:
        console.warn(f"Going on without {count} in {where}: {named}.")
    else:
        raise DataError(
            f"{count} in {where} cannot be used: {named}.",
            "Repair or remove them, or add --skip-bad to go on without them.",
        )
