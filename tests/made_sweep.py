"""A sweep made up by hand: no trial of it was trained."""

from typing import Any

from tiny_run import HOSTILE

from evacli.sweeping.result import Repeated, State, SweepResult, TrialResult

SEARCH = {
    "lr": "0.001..0.1:log",
    "cutout": "0..16",
    "optimizer": "sgdw|adamw|muon",
    "momentum": "0.5..0.9",
    "flip": "yes|no",
}
OPTIMIZERS = ("sgdw", "adamw", "muon")


def make_trial(number: int, state: State = "finished", **changes: Any) -> TrialResult:
    """The higher its number, the worse."""
    optimizer = OPTIMIZERS[number % 3]
    drawn = {"lr": 0.1 / (number + 1), "cutout": number % 17, "optimizer": optimizer}
    drawn |= {} if optimizer == "adamw" else {"momentum": 0.5 + number / 100}
    drawn |= {"flip": number % 2 == 0}
    curve = {epoch: 0.9 - number / 100 - 0.3 / epoch for epoch in range(1, 5 if state == "finished" else 2)}
    values: dict[str, Any] = {
        "number": number,
        "run": f"sweeps/made/trial-{number:03}",
        "state": state,
        "settings": drawn,
        "val_accuracy": curve[max(curve)],
        "val_epoch": max(curve),
        "curve": curve,
    }
    return TrialResult(**(values | changes))


def make_sweep(number: int = 12, **changes: Any) -> SweepResult:
    """Of some finished trials, two that were stopped, and one that failed with the words of a stranger."""
    trials = [make_trial(i) for i in range(number)]
    trials += [make_trial(number + i, "pruned") for i in range(2)]
    failed = {"val_accuracy": None, "val_epoch": 0, "curve": {}, "why": " ".join(HOSTILE)}
    trials.append(make_trial(number + 2, "failed", **failed))
    values: dict[str, Any] = {
        "sweep": "sweeps/made",
        "trials": trials,
        "best": 0,
        "epochs": 4,
        "search": SEARCH,
        "settings": {"data": HOSTILE[0], "val_split": 0.1, "epochs": 4},
        "importance": {"lr": 0.5, "optimizer": 0.25, "cutout": 0.125, "momentum": 0.0625, "flip": 0.0625},
        "command": "evacli train --run runs/best --data 'a b' --lr 0.1 --cutout 0 --optimizer sgdw --test-every 4",
        "train_on": "evacli train --run sweeps/made/trial-000 --epochs 8",
        "repeated": Repeated(
            runs=["a", "b"],
            seeds=[1, 2],
            test_accuracies=[0.8, 0.9],
            test_accuracy=0.85,
            deviation=0.0707,
            chosen_by="after the last epoch",
        ),
        "table": "sweeps/made/sweep.csv",
        "page": "sweeps/made/sweep.html",
    }
    return SweepResult(**(values | changes))
