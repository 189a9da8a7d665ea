"""Runs to compare, made by hand: no network, nothing is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tiny_run import make_rows, make_summary

from evacli.config import Config
from evacli.run import config_file, history, summary
from evacli.run.directory import RunDir, write_text_atomically
from evacli.run.history import Row


def random_rows(seed: int, epochs: int = 7, validated: bool = False) -> list[Row]:
    """A history without any order in it."""
    rng = np.random.default_rng(seed)
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds")
    names += ("val_loss", "val_accuracy") if validated else ()
    return [
        msgspec.structs.replace(row, **dict(zip(names, rng.random(len(names)).tolist(), strict=True)))
        for row in make_rows(epochs, validated)
    ]


def write_run(
    path: Path, rows: Sequence[Row] | None = None, settings: dict[str, Any] | None = None, **changes: Any
) -> Path:
    """The files of a training that a comparison reads; `changes` are fields of its summary."""
    run = RunDir(path)
    run.create()
    rows = make_rows() if rows is None else rows
    epochs = {"epochs": max(len(rows), 1)}
    config_file.write(run, Config(**(epochs | (settings or {}))))
    if rows:
        write_text_atomically(run.history, history.to_csv(rows))
    seconds = sum(row.seconds for row in rows)
    done = changes.get("epochs_done", len(rows))
    known = {
        "top_epoch": min(2, done),
        "epochs_done": done,
        "seconds": seconds,
        "images_per_second": 12 * len(rows) / (seconds or 1),
    }
    summary.write(run, make_summary(**(known | changes)))
    return path
