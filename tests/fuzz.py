"""Feeds each reader of strangers' files with bytes, and uses what it makes of them.

`python tests/fuzz.py NAME` does so until it is stopped or finds something, guided by coverage (atheris, `make fuzz`);
`tests/test_fuzz.py` does so for a moment with every reader. Only an `EvacliError` of one line may come out.
"""

import io
import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from cifar_files import cifar10, random_images, write_tar
from PIL import Image

MADE = Path(__file__).parent / "run-0.1.0" / "finished"
MAX_BYTES = 2**16
# What mutations put together: the words of the seeds, and what parsers stumble over.
WORD = re.compile(rb'"\w{1,60}"|\w{4,60}')
ODD = {b"null", b"true", b"NaN", b"1e999", b"-1", b"[]", b"{}", b'"\\ud800"', b"\xff\xff\xff\x7f"}


class Reader(NamedTuple):
    """A reader.

    Attributes:
        seeds: makes inputs that it takes.
        use: reads bytes and uses what came of them.
    """

    seeds: Callable[[], list[bytes]]
    use: Callable[[bytes], None]


def _run(name: str, content: bytes) -> "RunDir":  # noqa: F821 - imported when needed, for coverage
    from evacli.run.directory import RunDir

    run = RunDir(_FOLDER)
    (run.path / name).write_bytes(content)
    return run


_FOLDER = Path(tempfile.mkdtemp(prefix="evacli-fuzz-"))


def _seed(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(MADE / name).read_bytes() for name in names]


def config(content: bytes) -> None:
    from evacli import network_file
    from evacli.config import data_name
    from evacli.errors import ModelError
    from evacli.formats import spelled
    from evacli.run import config_file
    from evacli.training.batching import Batching
    from evacli.training.rate_control import moment

    run = _run("config.json", content)
    settings = config_file.inherit(run, {})
    with suppress(ModelError):  # a file that nobody has named
        network_file.allow(settings.model, run, named=False)
    data_name(settings)
    [str(spelled(value)) for value in msgspec.structs.asdict(settings).values()]
    Batching(settings, 100).size(0)
    moment(settings, 0.5)
    config_file.write(run, settings)


def summary(content: bytes) -> None:
    from evacli.commands.train import _outcome
    from evacli.run import summary

    run = _run("summary.json", content)
    found = summary.read(run)
    _outcome(found)
    summary.write(run, found)


def history(content: bytes) -> None:
    from evacli.figures.curves import draw_curves
    from evacli.run import history

    rows = history.read_csv(_run("history.csv", content).history)
    history.to_csv(rows)
    if len(rows) < 100:
        draw_curves(rows, rows[0].epoch, "test")
    history.best(rows)


def lr_result(content: bytes) -> None:
    from evacli.config import Config
    from evacli.run.lr_result import fits, suggestion

    found = suggestion(_run("lr_find.json", content))
    if found is not None:
        fits(found, Config())
        f"{found.lr:.3g}"


def lr_curve(content: bytes) -> None:
    from evacli.run.lr_result import read_curve, smoothed_around

    smoothed_around(read_curve(_run("lr_find.csv", content)).losses)


def checkpoint(content: bytes) -> None:
    from evacli.run import checkpoint, history

    run = _run("checkpoint.npz", content)
    loaded = checkpoint.load(run)
    if loaded is not None:
        history.to_csv(loaded[0].rows)
        history.best(loaded[0].rows)
        checkpoint.save(run, *loaded)


def recipe(content: bytes) -> None:
    from evacli import recipes
    from evacli.config import make, over

    (_FOLDER / "recipe.toml").write_bytes(content)
    make(over(recipes.recipe(str(_FOLDER / "recipe.toml")), {}))


def data(content: bytes) -> None:
    from evacli.config import Config
    from evacli.data import load

    (_FOLDER / "data").write_bytes(content)
    load(Config(data=str(_FOLDER / "data"), limit_train=10, limit_test=10))


def picture(content: bytes) -> None:
    from evacli.data import pictures
    from evacli.data.files import File
    from evacli.data.hostile import reading

    path = _FOLDER / "picture"
    path.write_bytes(content)
    with reading(path):
        pictures.size(File.at(path))
        pictures.pixels(File.at(path), (8, 8), "crop")


def model(content: bytes) -> None:
    from evacli.models import saved

    path = _FOLDER / "best.keras"
    path.write_bytes(content)
    saved.try_out(saved.load(path), 2)


def _npz() -> list[bytes]:
    rng, out = np.random.default_rng(0), io.BytesIO()
    x, y = rng.integers(0, 256, (4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1])
    np.savez(out, x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(["cat", "dog"]))
    return [out.getvalue()]


def _tar() -> list[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("cifar-10-batches-py/batches.meta", "cifar-10-batches-py/" + "é" * 120):
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"\x80\x02]q."))
    return [out.getvalue()]


def _cifar() -> list[bytes]:
    """All files of the Python version and of the binary one, of an image each."""
    images, labels = random_images(6), [0, 1, 2, 0, 1, 2]
    records = {
        name: bytes([1]) + bytes(3072) for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
    }
    records["data_batch_1.bin"] = bytes(3073)
    made = []
    for files in (cifar10(images, labels), records | {"batches.meta.txt": b"cat\ndog\n"}):
        path = write_tar(_FOLDER / "cifar.tar", files, "w")
        made.append(path.read_bytes())
    return made


def _settings() -> list[bytes]:
    """Settings of all kinds beside those of a run."""
    from evacli.config import make

    kinds = (
        {"data": "photos", "val_split": 0.1, "batch_size": "full", "lr": 0.1, "flip": False},
        {"schedule": "step", "grow_batch": 512, "drop_factor": 5.0, "optimizer": "adam", "beta_1": 0.8},
        {
            "schedule": "cyclical",
            "cycle": "exp-range",
            "cycles": 2,
            "base_lr": 0.01,
            "model": "net.py:build",
            "tta": True,
        },
    )
    return [*_seed("config.json")(), *(msgspec.json.encode(make(kind)) for kind in kinds)]


def _pictures() -> list[bytes]:
    made = []
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8))
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        out = io.BytesIO()
        image.save(out, kind)
        made.append(out.getvalue())
    return made


def _recipes() -> list[bytes]:
    import evacli.recipes

    return [path.read_bytes() for path in Path(evacli.recipes.__file__).parent.glob("*.toml")]


READERS = {
    "config": Reader(_settings, config),
    "summary": Reader(_seed("summary.json"), summary),
    "history": Reader(_seed("history.csv"), history),
    "lr_result": Reader(_seed("lr_find.json"), lr_result),
    "lr_curve": Reader(_seed("lr_find.csv"), lr_curve),
    "checkpoint": Reader(_seed("checkpoint.npz"), checkpoint),
    "recipe": Reader(_recipes, recipe),
    "data": Reader(lambda: [*_npz(), *_tar(), *_cifar()], data),
    "picture": Reader(_pictures, picture),
    "model": Reader(_seed("best.keras"), model),
}


def feed(name: str, content: bytes) -> None:
    """Lets a reader use `content`; what it refuses, it refuses in one line."""
    from evacli.errors import EvacliError

    try:
        READERS[name].use(content)
    except EvacliError as e:
        line = f"{e.message} {e.fix}"
        if "\n" in line:  # long ones are cut where they are shown
            raise AssertionError(f"not one line: {line[:500]!r}") from e


def main() -> None:
    """Fuzzes the reader that the command line names; options of libFuzzer follow, such as -max_total_time=600."""
    import atheris

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    name, options = sys.argv[1], sys.argv[2:]
    corpus = Path(tempfile.mkdtemp(prefix=f"evacli-corpus-{name}-"))
    with atheris.instrument_imports(include=["evacli"]):
        for number, seed in enumerate(READERS[name].seeds()):
            (corpus / str(number)).write_bytes(seed)
            feed(name, seed)  # imports what the reader needs
    words = {word for seed in READERS[name].seeds() for word in WORD.findall(seed)[:200]} | ODD
    dictionary = corpus.with_suffix(".dict")
    dictionary.write_text("".join('"' + "".join(map("\\x{:02x}".format, word)) + '"\n' for word in sorted(words)))
    sys.stderr.write(json.dumps({"reader": name, "corpus": str(corpus)}) + "\n")
    atheris.Setup(
        ["fuzz", str(corpus), f"-dict={dictionary}", f"-artifact_prefix={corpus}-", *options],
        lambda content: feed(name, content),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
