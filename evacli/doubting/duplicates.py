"""Test images that were learnt from: pictures that are, exactly or nearly, among the training images as well.

They flatter a test figure. 3.25 % of CIFAR-10's test images have a copy in it (Barz, Denzler 2020, arXiv 1902.00423).
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evacli import console, spreadsheet
from evacli.data.images import Images, block_size
from evacli.data.types import Split
from evacli.imaging import opencv
from evacli.nearest import Nearest

# Pixels of a picture that is looked at for its details: at 32 a pair of trousers on a bed is like any other, with a
# correlation of up to 0.89; at 64 of up to 0.73, where copies have 0.92 and more after JPEG at quality 40 and a shift.
# At 96, a copy in JPEG at quality 30 is not recognised.
LEAST_SIDE, MOST_SIDE = 32, 64
BROAD = 9  # of what is taken off it first: one sky is like the other, details are not
COARSE = 8  # of a picture by which candidates are found
CANDIDATES = 3
FAR = 0.65  # for a candidate; of CIFAR-10's copies half are nearer than 0.28, and one in 40 is further than 0.63
SHIFT = 8  # the part of a side that a copy may be moved by
ALIKE = 0.8  # looking at CIFAR-10, nearly all pairs from here on are copies, and below it fewer and fewer
UPSIDE_DOWN = 1000
STRETCH = 8192  # images that are searched at a time

COLUMNS = "test_index", "test_file", "test_class", "train_index", "train_file", "train_class", "exact", "likeness"


class Duplicate(NamedTuple):
    """A test image and a training image that are one picture.

    Attributes:
        test: index of the one.
        train: index of the other.
        exact: whether all their pixels are the same.
        likeness: the correlation of their details, 1 at most.
    """

    test: int
    train: int
    exact: bool
    likeness: float


def find(train: Images, test: Images) -> list[Duplicate]:
    """Return the test images that are among the training images, the most alike first.

    Exact copies are told by a hash of their pixels. In others the details are the same, but for a shift, another
    contrast or a small change: their correlation is 0.8 at least, and higher than that of any picture upside down with
    a training image. That is for pictures which are alike by nature, such as digits.

    Args:
        train: images that were learnt from; they are read once, and some of them again.
        test: images of the same size; each takes some hundred bytes of memory.

    Example:
        >>> find(InMemory(pixels[:50]), InMemory(pixels[40:]))[0]
        Duplicate(test=0, train=40, exact=True, likeness=1.0)
    """
    with console.told_late("Looking for the test images among the training images"):
        parts = list(_read(test, "reading test images"))
        hashes = [digest for digests, _ in parts for digest in digests]
        upright = np.concatenate([vectors for _, vectors in parts])
        some = np.linspace(0, len(test) - 1, min(UPSIDE_DOWN, len(test))).astype(int)
        turned = upright[some].reshape(-1, COARSE, COARSE)[:, ::-1].reshape(len(some), -1)
        nearest = Nearest(np.concatenate([upright, turned]), CANDIDATES)
        wanted, same = set(hashes), dict[bytes, int]()
        for digests, vectors in _read(train, "looking for duplicates"):
            for index, digest in enumerate(digests, start=nearest.shown):
                if digest in wanted:
                    same.setdefault(digest, index)
            nearest.show(vectors)
        pictures = [*((i, False) for i in range(len(test))), *((int(i), True) for i in some)]
        likest = [
            _likest(train, test, picture, nearest.indices[at][nearest.distances[at] <= FAR])
            for at, picture in enumerate(console.track(pictures, "comparing pictures"))
        ]
    exact = [Duplicate(i, same[digest], True, 1.0) for i, digest in enumerate(hashes) if digest in same]
    by_nature = max(likeness for likeness, _ in likest[len(test) :])
    near = [
        Duplicate(i, index, False, likeness)
        for i, (likeness, index) in enumerate(likest[: len(test)])
        if hashes[i] not in same and likeness >= ALIKE and likeness > by_nature
    ]
    return exact + sorted(near, key=lambda pair: -pair.likeness)


def _read(images: Images, description: str) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
    """Yield, a stretch after the other, the hash of each image and what it is in coarse, a vector of length 1."""
    size = block_size(images.shape)
    for start in console.track(range(0, len(images), STRETCH), description):
        indices = np.arange(start, min(start + STRETCH, len(images)))
        digests, coarse = [], []
        for at in range(0, len(indices), size):
            for image in images.read(indices[at : at + size]):
                digests.append(hashlib.blake2b(image.tobytes(), digest_size=16).digest())
                coarse.append(_grey(image, COARSE).ravel())
        vectors = np.stack(coarse)
        vectors -= vectors.mean(axis=1, keepdims=True)
        yield digests, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _details(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture (H, W, 3) as a square in grey, less its broad features."""
    small = _grey(image, min(max(*image.shape[:2], LEAST_SIDE), MOST_SIDE))
    return np.asarray(small - opencv().blur(small, (BROAD, BROAD)))


def _grey(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    cv2 = opencv()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _likest(
    train: Images, test: Images, picture: tuple[int, bool], candidates: NDArray[np.integer]
) -> tuple[float, int]:
    """Return the highest likeness of a test image, or of it upside down, to training images, and to which."""
    if not len(candidates):
        return 0.0, -1
    index, turned = picture
    details = _details(test.read([index])[0])
    details = details[::-1] if turned else details
    found = [(_likeness(details, _details(train.read([int(j)])[0])), int(j)) for j in candidates]
    return max(found, key=lambda one: one[0])


def _likeness(details: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Return the correlation of the middle of a picture with another one, at the shift at which it is highest."""
    shift = len(details) // SHIFT
    middle = np.ascontiguousarray(details[shift:-shift, shift:-shift])
    if middle.std() < 1:  # of a grey level: nothing in it to be alike
        return 0.0
    cv2 = opencv()
    return float(cv2.matchTemplate(others, middle, cv2.TM_CCOEFF_NORMED).max())


def to_csv(duplicates: Sequence[Duplicate], train: Split, test: Split, class_names: Sequence[str]) -> str:
    """Return a line for each pair under a header line."""

    def cells(pair: Duplicate) -> list[object]:
        found = ((pair.test, test), (pair.train, train))
        images = [cell for i, split in found for cell in (i, split.names[i], class_names[split.labels[i]])]
        return [*images, pair.exact, f"{pair.likeness:.4f}"]

    return spreadsheet.to_csv(COLUMNS, map(cells, duplicates))
