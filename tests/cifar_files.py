"""Writes CIFAR files as their authors did, independently of how evacli reads them."""

import io
import pickle
import struct
import tarfile

import numpy as np

# The meta file of CIFAR-10 is in protocol 0.
META_HEAD = b"(dp1\nS'num_cases_per_batch'\np2\nI%d\nsS'label_names'\np3\n(lp4\n"


class Python2Pickler(pickle._Pickler):
    """Spells bytes as Python 2 spelled str."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012 - as pickle has it

    def save_bytes(self, obj):
        if len(obj) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(obj)]) + obj)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        self.memoize(obj)

    dispatch[bytes] = save_bytes


def python2(value):
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(value)
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def random_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def planes(images):
    return np.stack([np.concatenate([image[:, :, c].ravel() for c in range(3)]) for image in images])


def batch(images, labels, key=b"labels", names=None, dumps=python2):
    names = names or [b"image_%d.png" % i for i in range(len(images))]
    return dumps({b"labels" if key is None else key: list(labels), b"data": planes(images), b"filenames": names})


def cifar10(images, labels, names=("cat", "dog", "owl"), dumps=python2):
    """The files of the Python version: six batches of equal size out of (6N, 32, 32, 3) images."""
    size = len(images) // 6
    files = {}
    for i in range(6):
        part = slice(i * size, (i + 1) * size)
        name = f"data_batch_{i + 1}" if i < 5 else "test_batch"
        files[name] = batch(images[part], labels[part], dumps=dumps)
    lines = b"".join(b"S'%s'\np%d\na" % (name.encode(), 5 + i) for i, name in enumerate(names))
    return files | {"batches.meta": META_HEAD % size + lines + b"s."}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
