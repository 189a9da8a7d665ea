"""Data that cannot be used, or only after a conversion."""

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cifar_files
import h5py
import numpy as np
from bad_cases import RNG, TRAIN, Case, Command, Evil, Make, picture
from keras_files import write
from PIL import ExifTags, Image
from tiny_run import HOSTILE

# -- images ------------------------------------------------------------------------------------------------------------

BAD = Path("data/train/cat/bad.jpg")


def content(make: Callable[[Path], object], *options: str) -> Make:
    """A training image that `make` writes."""

    def prepared(folder: Path) -> Sequence[Command]:
        make(folder / BAD)
        return [(*TRAIN, *options)]

    return prepared


def converted(mode: str, **options: Any) -> Make:
    """A training image in another mode of colours."""
    return content(lambda path: Image.new(mode, (12, 10)).save(path, **({"format": "PNG"} | options)))


def truncated(path: Path) -> None:
    picture(path)
    path.write_bytes(path.read_bytes()[:100])


def animated(path: Path) -> None:
    frames = [Image.new("RGB", (12, 10), colour) for colour in ("red", "blue")]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture(path, (10, 12), format="JPEG", exif=exif)


def everything_bad(path: Path) -> None:
    truncated(path)
    for i in range(12):
        path.with_name(f"empty{i:02}.jpg").touch()


def link(target: str) -> Make:
    return content(lambda path: path.symlink_to(target))


def images() -> Iterator[Case]:
    """Single files."""
    made: dict[str, Make] = {
        "truncated PNG": content(truncated),
        "truncated PNG, with --skip-bad": content(truncated, "--skip-bad"),
        "empty file": content(Path.touch),
        "text named .jpg": content(lambda path: path.write_text("hello")),
        "180 megapixels in 22 kB": content(lambda path: Image.new("1", (20_000, 9_000)).save(path, "PNG")),
        "13 bad files": content(everything_bad),
        "13 bad files, with --skip-bad": content(everything_bad, "--skip-bad"),
        "16-bit grey": converted("I;16"),
        "32-bit float grey": converted("F", format="TIFF"),
        "CMYK": converted("CMYK", format="JPEG"),
        "palette": converted("P"),
        "alpha": converted("RGBA"),
        "animation": content(animated),
        "EXIF-rotated JPEG": content(rotated),
        "WebP named .jpg": content(lambda path: picture(path, format="WEBP") and None),
        "image of another size": content(lambda path: picture(path, (30, 40)) and None),
        "link out of the folder": link("../../../../secret.txt"),
        "link to itself": link("bad.jpg"),
        "link to the folder above": link(".."),
        "link to nothing": link("gone"),
        "named pipe": content(os.mkfifo),
    }
    return (Case("Images in a folder", title, make) for title, make in made.items())


# -- folders -----------------------------------------------------------------------------------------------------------


def changed(change: Callable[[Path], object]) -> Make:
    """The folder of images, changed."""

    def prepared(folder: Path) -> None:
        change(folder / "data")

    return prepared


def linked_class(data: Path) -> None:
    (data / "train/owl").symlink_to(data.parent.parent)


def hidden(data: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (data / "train/cat" / name).write_text("x")


def untold_tests(data: Path) -> None:
    shutil.rmtree(data / "test")
    picture(data / "test/0.png")


def detection(data: Path) -> None:
    shutil.rmtree(data)
    picture(data / "images/0.png")
    (data / "labels").mkdir()
    (data / "labels/0.txt").write_text("0 0.5 0.5 0.1 0.1")


def folders() -> Iterator[Case]:
    """Their layout."""
    made: dict[str, Callable[[Path], object]] = {
        "`Cat` beside `cat`": lambda data: picture(data / "train/Cat/0.png"),
        "hidden files": hidden,
        "an empty class": lambda data: [(data / split / "owl").mkdir() for split in ("train", "test")],
        "a class missing in test": lambda data: picture(data / "train/owl/0.png"),
        "a class missing in train": lambda data: picture(data / "test/owl/0.png"),
        "a single class": lambda data: [shutil.rmtree(data / split / "dog") for split in ("train", "test")],
        "a class that is a link out": linked_class,
        "no test folder": lambda data: shutil.rmtree(data / "test"),
        "no training folder": lambda data: shutil.rmtree(data / "train"),
        "pictures without classes": lambda data: [
            (data / "train/cat").rename(data.parent / "x"),
            shutil.rmtree(data),
            (data.parent / "x").rename(data),
        ],
        "two test folders": lambda data: shutil.copytree(data / "test", data / "Testing"),
        "tests without classes": untold_tests,
        "labels of detection": detection,
        "an empty folder": lambda data: (shutil.rmtree(data), data.mkdir()),
        "nothing there": shutil.rmtree,
    }
    return (Case("Folders of images", title, changed(change)) for title, change in made.items())


# -- archives ----------------------------------------------------------------------------------------------------------

CIFAR = cifar_files.cifar10(cifar_files.random_images(6), [0, 1, 2, 0, 1, 2])
EVIL = b"cos\nsystem\n(S'touch ../touched'\ntR."
HUGE = CIFAR["data_batch_1"].replace(b"K\x01M\x00\x0c\x86", b"J\xff\xff\xff\x7fM\x00\x0c\x86")


def batches(**changes: bytes) -> Make:
    """CIFAR-10's Python version with some files changed."""

    def prepared(folder: Path) -> None:
        shutil.rmtree(folder / "data")
        cifar_files.write(folder / "data", CIFAR | changes)

    return prepared


def archive(member: str) -> Make:
    """The same as a .tar.gz with one member more."""

    def prepared(folder: Path) -> None:
        shutil.rmtree(folder / "data")
        cifar_files.write_tar(folder / "data", {f"c/{name}": data for name, data in CIFAR.items()} | {member: b"x"})

    return prepared


def linking_archive(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    with tarfile.open(folder / "data", "w:gz") as tar:
        inside = tarfile.TarInfo("c/data_batch_1")
        inside.type, inside.linkname = tarfile.SYMTYPE, "../../secret.txt"
        tar.addfile(inside)


def cut_archive(folder: Path) -> None:
    archive("c/readme")(folder)
    os.truncate(folder / "data", (folder / "data").stat().st_size // 2)


def archives() -> Iterator[Case]:
    """CIFAR as its authors publish it, and not."""
    one, wrong = cifar_files.random_images(1), cifar_files.batch(cifar_files.random_images(1), [99])
    made = {
        "pickle that calls os.system": batches(data_batch_1=EVIL),
        "pickle that names a function of numpy": batches(data_batch_1=b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR."),
        "pickle with a huge array": batches(data_batch_1=HUGE),
        "labels out of range": batches(data_batch_1=wrong),
        "more labels than images": batches(data_batch_1=cifar_files.batch(one, [0, 1], names=[b"a"])),
        "short batch": batches(data_batch_1=CIFAR["data_batch_1"][:1000]),
        "a batch of two images, where one is announced": batches(
            data_batch_1=cifar_files.batch(cifar_files.random_images(2), [0, 1])
        ),
        "tar member ../outside": archive("../outside"),
        "tar member with an absolute name": archive("/tmp/outside"),
        "tar member that is a link": linking_archive,
        "half an archive": cut_archive,
    }
    return (Case("CIFAR archives", title, make) for title, make in made.items())


# -- pictures in archives and lists ------------------------------------------------------------------------------------


def zipped(*more: tuple[str | zipfile.ZipInfo, bytes]) -> Make:
    """The folder of images as a .zip, with members more."""

    def prepared(folder: Path) -> None:
        shutil.make_archive(str(folder / "zipped"), "zip", folder / "data")
        with zipfile.ZipFile(folder / "zipped.zip", "a", zipfile.ZIP_DEFLATED) as archive:
            for member, content in more:
                archive.writestr(member, content)
        shutil.rmtree(folder / "data")
        (folder / "zipped.zip").rename(folder / "data")

    return prepared


def link_in_zip() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/cat/link.png")
    member.external_attr = 0o120777 << 16
    return member


def encrypted(folder: Path) -> None:
    zipped()(folder)
    content = (folder / "data").read_bytes()
    flags = content.index(b"PK\x01\x02") + 8
    (folder / "data").write_bytes(content[:flags] + b"\x01" + content[flags + 1 :])


def listing(text: str) -> Make:
    """A list of the folder of images, whose paths lead into it."""

    def prepared(folder: Path) -> Sequence[Command]:
        (folder / "list.csv").write_text(text)
        return [("train", "--data", "list.csv", *TRAIN[3:])]

    return prepared


def idx(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / "data" / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03garbage")


def packed_and_listed() -> Iterator[Case]:
    """What is not as it should be in them."""
    made = {
        "a zip": zipped(),
        "a zip with a member ../outside": zipped(("../outside", b"x")),
        "a zip with a link": zipped((link_in_zip(), b"/etc/passwd")),
        "a zip of 1.1 GB of zeros": lambda folder: zipped(("train/cat/zeros.png", bytes(1_100_000_000)))(folder),
        "an encrypted zip": encrypted,
        "a list without classes": listing("path,size\ndata/train/cat/0.png,3\n"),
        "a list with a line cut short": listing("path,label\ndata/train/cat/0.png\n"),
        "a list of files that are not there": listing("path,label\ngone.png,cat\n"),
        "a list with a picture twice": listing("path,label\n" + "data/train/cat/0.png,cat\n" * 2),
        "a list with an unknown split": listing("path,label,split\ndata/train/cat/0.png,cat,holdout\n"),
        "garbled IDX files": idx,
        "garbage called parquet": as_data(lambda path: path.write_bytes(b"PAR1garbage")),
    }
    return (Case("Archives and lists of pictures", title, make) for title, make in made.items())


# -- .npz and other files as data --------------------------------------------------------------------------------------


def arrays(**changes: Any) -> Make:
    def prepared(folder: Path) -> None:
        shutil.rmtree(folder / "data")
        x, y = RNG.integers(0, 256, (8, 8, 8, 3), np.uint8), np.arange(8) % 2
        with (folder / "data").open("wb") as file:
            np.savez_compressed(file, **({"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes))

    return prepared


def as_data(write_it: Callable[[Path], object]) -> Make:
    def prepared(folder: Path) -> None:
        shutil.rmtree(folder / "data")
        write_it(folder / "data")

    return prepared


def boasting() -> bytes:
    """An .npy whose header claims ten terabytes."""
    out = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue()


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape=(2**40,), dtype="u1")


def files() -> Iterator[Case]:
    """What else people may point at."""
    made = {
        ".npz with a pickle": arrays(x_train=np.array([Evil()], object)),
        ".npz that unpacks to 1.1 GB": lambda folder: arrays(x_train=np.zeros((400_000, 32, 32, 3), np.uint8))(folder),
        ".npz whose array claims ten terabytes": as_data(lambda path: write(path, {"x_train.npy": boasting()})),
        ".npz of floats": arrays(x_train=np.zeros((8, 8, 8, 3), np.float32)),
        ".npz with class 10**15": arrays(y_train=np.full(8, 10**15)),
        ".h5": as_data(hdf5),
        "single image": as_data(lambda path: picture(path)),
        "garbage": as_data(lambda path: path.write_bytes(b"garbage")),
    }
    return (Case("Other files given as --data", title, make) for title, make in made.items())


# -- names -------------------------------------------------------------------------------------------------------------


def named(*commands: Command) -> Make:
    """A data set whose classes have hostile names."""

    def prepared(folder: Path) -> Sequence[Command]:
        count = 2 * len(HOSTILE)
        x, y = RNG.integers(0, 256, (count, 8, 8, 3), np.uint8), np.arange(count) % len(HOSTILE)
        arrays(x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(HOSTILE))(folder)
        return [TRAIN, *commands]

    return prepared


def hostile_names() -> Iterator[Case]:
    """All of `tiny_run.HOSTILE` at once."""
    made = {
        "train": named(),
        "gradcam": named(("gradcam", "--run", "new", "--n", 3)),
        "report": named(("report", "--run", "new")),
        "gradcam --class with an escape sequence": named(("gradcam", "--run", "new", "--class", "\x1b[2J")),
    }
    kinds = "classes called `<script>`, `[/]`, `$\\frac$`, `=1+1`, an ANSI escape, a lone surrogate, 300 characters ..."
    return (Case(f"Hostile names: {kinds}", title, make) for title, make in made.items())


def cases() -> Iterator[Case]:
    """All of them."""
    for group in images, folders, archives, packed_and_listed, files, hostile_names:
        yield from group()
