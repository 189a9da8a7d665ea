"""Run directories and models of strangers."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from bad_cases import Case, Command, Evil, Make
from bad_data import hdf5
from keras import layers
from keras_files import Parts, compressed, configured, hollow, layer, parts, wide, write
from tiny_run import make_model

# -- run directories ---------------------------------------------------------------------------------------------------

TRAIN_ON = ("train", "--run", "run", "--epochs", 2, "--model", "net.py:tiny")
ANEW = ("train", "--run", "run", "--overwrite", "--model", "net.py:tiny")
REPORT, GRADCAM = ("report", "--run", "run"), ("gradcam", "--run", "run")


def run_file(name: str, change: Callable[[Path], object], command: Command) -> Make:
    """A trained run in which one file was changed."""

    def prepared(folder: Path) -> Sequence[Command]:
        change(folder / "run" / name)
        return [command]

    return prepared


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage\xff")


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def vast(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def foreign(path: Path) -> None:
    path.write_text(json.dumps({"learning_rate": 0.1, "layers": [1, 2]}))


def other_settings(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"momentum": 0.5}))


def stranger_code(path: Path) -> None:
    (path.parent.parent / "evil.py").write_text("open('../touched', 'w')\n")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "evil.py:build"}))


def swapped(path: Path) -> None:
    """The checkpoint of a network of the same settings with other shapes."""
    with np.load(path) as stored:
        np.savez(path, **{name: stored[name][..., None] if "/" in name else stored[name] for name in stored.files})


def runs() -> Iterator[Case]:
    """What a stranger's run directory may hold."""
    made = {
        "config.json: garbage": run_file("config.json", garbage, TRAIN_ON),
        "config.json: of something else": run_file("config.json", foreign, REPORT),
        "config.json: 100,000 brackets": run_file("config.json", lambda p: p.write_text("[" * 100_000), REPORT),
        "config.json: a terabyte": run_file("config.json", vast, ("runs", ".")),
        "config.json: a named pipe": run_file("config.json", pipe, REPORT),
        "config.json: other settings than the checkpoint's": run_file("config.json", other_settings, TRAIN_ON),
        "config.json: names a file of code, train": run_file("config.json", stranger_code, ANEW[:-2]),
        "config.json: names a file of code, lr-find": run_file(
            "config.json", stranger_code, ("lr-find", "--run", "run")
        ),
        "config.json: names a file of code, report": run_file("config.json", stranger_code, REPORT),
        "config.json: names a file of code, gradcam": run_file("config.json", stranger_code, GRADCAM),
        "history.csv: garbage": run_file("history.csv", garbage, REPORT),
        "history.csv: of something else": run_file("history.csv", lambda p: p.write_text("a,b\n1,2\n"), REPORT),
        "history.csv: a terabyte": run_file("history.csv", vast, REPORT),
        "history.csv: missing": run_file("history.csv", Path.unlink, REPORT),
        "lr_find.json: garbage": run_file("lr_find.json", garbage, (*ANEW, "--lr", "auto")),
        "lr_find.json: of something else": run_file("lr_find.json", foreign, (*ANEW, "--lr", "auto")),
        "summary.json: garbage": run_file("summary.json", garbage, REPORT),
        "checkpoint.npz: garbage": run_file("checkpoint.npz", garbage, TRAIN_ON),
        "checkpoint.npz: missing": run_file("checkpoint.npz", Path.unlink, TRAIN_ON),
        "checkpoint.npz: weights of other shapes": run_file("checkpoint.npz", swapped, TRAIN_ON),
        "checkpoint.npz: a pickle": run_file(
            "checkpoint.npz", lambda p: np.savez(p, progress=np.array([Evil()], object)), TRAIN_ON
        ),
        "checkpoint.npz: a named pipe": run_file("checkpoint.npz", pipe, TRAIN_ON),
        "train.lock: a link to a file": run_file("train.lock", lambda p: relink(p, "../../secret.txt"), TRAIN_ON),
        "gradcam: a link to a folder": run_file("gradcam", lambda p: relink(p, "../.."), GRADCAM),
        "--run names a file": lambda folder: [("train", "--run", "net.py")],
    }
    return (Case("Run directories", title, make) for title, make in made.items())


# -- using a run -------------------------------------------------------------------------------------------------------

PREDICT, EVALUATE = ("predict", "net.py", "--run", "run"), ("evaluate", "--data", "data", "--run", "run")


def moved(change: Callable[[Path], object], command: Command) -> Make:
    """A trained run, and a changed copy of its data in the folder `other`."""

    def prepared(folder: Path) -> Sequence[Command]:
        shutil.copytree(folder / "data", folder / "other")
        change(folder / "other")
        return [(*command, "--data", "other", "--run", "run")]

    return prepared


def using() -> Iterator[Case]:
    """What is given to a trained run."""
    made: dict[str, Make] = {
        "predict: a file that is no picture": lambda folder: [PREDICT],
        "predict: no such file": lambda folder: [("predict", "no*.png", "--run", "run")],
        "predict --gradcam: a layer that there is not": lambda folder: [(*PREDICT, "--gradcam", "--layer", "x")],
        "evaluate: a class that the run does not know": moved(
            lambda data: (data / "test/cat").rename(data / "test/owl"), ("evaluate",)
        ),
        "evaluate: pictures without classes": lambda folder: [("evaluate", "--data", "data/test/cat", "--run", "run")],
        "evaluate: truncated PNG": moved(lambda data: os.truncate(data / "test/cat/0.png", 100), ("evaluate",)),
        "evaluate: a link to a folder": run_file("evaluate", lambda path: relink(path, "../.."), EVALUATE),
        "report: data that has not moved, but changed": moved(
            lambda data: (data / "test/cat/0.png").unlink(), REPORT[:1]
        ),
        "gradcam: data of other classes": moved(
            lambda data: [(data / split / "cat").rename(data / split / "owl") for split in ("train", "test")],
            GRADCAM[:1],
        ),
    }
    return (Case("Using a run", title, make) for title, make in made.items())


def relink(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


# -- models ------------------------------------------------------------------------------------------------------------


def model(change: Callable[[Parts], Parts]) -> Make:
    """A trained run whose best.keras was changed and written again."""

    def replace(path: Path) -> None:
        make_model(2).save(path)
        write(path, change(parts(path)))

    return run_file("best.keras", replace, REPORT)


def upsampling(path: Path) -> None:
    stack = [layers.Input((10, 12, 3)), layers.UpSampling2D(3000), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    keras.Sequential(stack).save(path)


def other_classes(path: Path) -> None:
    keras.Sequential([layers.Input((10, 12, 3)), layers.Flatten(), layers.Dense(3, "softmax")]).save(path)


def with_lambda(path: Path) -> None:
    touch = layers.Lambda(lambda x: __import__("os").system("touch ../touched") or x, output_shape=(10, 12, 3))
    keras.Sequential([layers.Input((10, 12, 3)), touch, layers.Flatten(), layers.Dense(2)]).save(path)


def calling(content: Parts) -> Parts:
    evil = {"module": "os", "class_name": "system", "config": "touch ../touched", "registered_name": "system"}
    return configured(content, lambda described: layer(described, "Conv2D")["config"].update(activation=evil))


def models() -> Iterator[Case]:
    """What a stranger's best.keras may hold."""
    made = {
        "missing": run_file("best.keras", Path.unlink, REPORT),
        "garbage": run_file("best.keras", garbage, REPORT),
        "half of it": run_file("best.keras", lambda p: os.truncate(p, p.stat().st_size // 2), REPORT),
        "an .h5 file": run_file("best.keras", hdf5, REPORT),
        "a Lambda layer": run_file("best.keras", with_lambda, REPORT),
        "a configuration that calls os.system": model(calling),
        "a layer of 2,000,000,000 units": model(lambda p: configured(p, wide)),
        "300 MB of configuration in 300 kB": run_file(
            "best.keras", lambda path: packed(path, parts(path) | {"config.json": b"[" + b" " * 300_000_000}), REPORT
        ),
        "300 MB of configuration": model(lambda p: p | {"config.json": b"[" + b" " * 300_000_000}),
        "weights: a compressed array of 2 GB": model(compressed),
        "weights: an array of 2 GB without content": model(hollow),
        "a layer that computes 400 GB": run_file("best.keras", upsampling, GRADCAM),
        "other classes": run_file("best.keras", other_classes, REPORT),
    }
    return (Case("best.keras", title, make) for title, make in made.items())


def packed(path: Path, content: Parts) -> None:
    write(path, content, zipfile.ZIP_DEFLATED)


def cases() -> Iterator[Case]:
    """All of them."""
    for group in runs, using, models:
        yield from group()
