"""Any settings that go together, for hypothesis."""

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from evacli import config
from evacli.catalogue.networks import NETWORKS
from evacli.config import ClassOrder, Config, CropBorder, Cycle, Dataset, Optimizer, Precision, Resize, Schedule

RATES = st.floats(min_value=0, max_value=1e6, exclude_min=True)
SHARES = st.floats(min_value=0, max_value=1, exclude_max=True)
COUNTS = st.integers(1, 2**31 - 1)
# Lone surrogates included, those that stand for a byte of a file name.
NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF),
    min_size=1,
)
PRETRAINED = [name for name, network in NETWORKS.items() if network.pretrained]
VALUES = {
    "dataset": st.sampled_from(get_args(Dataset)),
    "data": st.none() | NAMES,
    "test_split": st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    "val_split": SHARES,
    "limit_train": st.none() | COUNTS,
    "limit_test": st.none() | COUNTS,
    "skip_bad": st.booleans(),
    "memory": st.none() | st.floats(0, 1e6),
    "image_size": st.none() | st.from_regex(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3})?", fullmatch=True),
    "resize": st.sampled_from(get_args(Resize)),
    "class_order": st.sampled_from(get_args(ClassOrder)),
    "model": NAMES | st.sampled_from(PRETRAINED),
    "cutout": st.none() | st.integers(0, 4096),
    "crop": st.none() | st.integers(0, 4096),
    "crop_border": st.sampled_from(get_args(CropBorder)),
    "flip": st.none() | st.booleans(),
    "scale": st.floats(0, 1, exclude_min=True) | st.from_regex(r"(0?\.[1-4]-0?\.[5-9]{1,3}|1\.0-1)", fullmatch=True),
    "jitter": st.floats(0, 1),
    "rand_augment": st.floats(0, 30),
    "mixup": SHARES,
    "lr": RATES | st.just("auto"),
    "schedule": st.sampled_from(get_args(Schedule)),
    "weights": st.none() | st.just("imagenet"),
    "freeze_until": st.none() | st.sampled_from(["auto", "all", "none", "pool"]),
    "views": st.none() | COUNTS,
    "backbone_rate": st.none() | st.floats(0, 1, exclude_min=True),
    "dropout": st.none() | SHARES | st.sampled_from(["none", "own"]),
    "tta": st.booleans(),
    "test_every": COUNTS,
    "spatial_dropout": st.booleans(),
    "input_noise": SHARES,
    "optimizer": st.sampled_from(get_args(Optimizer)),
    "momentum": st.none() | SHARES,
    "beta_1": st.none() | SHARES,
    "beta_2": st.none() | SHARES,
    "rho": st.none() | SHARES,
    "epsilon": st.none() | RATES,
    "weight_decay": st.none() | st.floats(0, 1),
    "gradient_noise": SHARES,
    "label_smoothing": SHARES,
    "class_weights": st.floats(0, 4) | st.sampled_from(["none", "balanced"]),
    "batch_size": COUNTS | st.just("full") | st.integers(1, 10**9 - 1).map("up-to-{}".format),
    "epochs": COUNTS,
    "warmup_epochs": st.none() | SHARES,
    "base_lr": st.none() | RATES,
    "grow_batch": st.none() | st.integers(128, 2**31 - 1),
    "cycle": st.none() | st.sampled_from(get_args(Cycle)),
    "cycles": st.none() | COUNTS,
    "drop_factor": st.none() | st.floats(1.5, 100),
    "seed": st.integers(0, 2**31 - 1),
    "precision": st.sampled_from(get_args(Precision)),
}


def possible(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what another optimizer, schedule, rate or size would need."""
    chosen = msgspec.structs.asdict(Config()) | settings
    belongs = {name: chosen[setting] in choices for name, (setting, choices) in config.BELONGS_TO.items()}
    belongs["test_every"] = chosen["schedule"] != "plateau"
    belongs["beta_1"] &= chosen["optimizer"] != "lion" or chosen["beta_1"] != 0
    belongs["base_lr"] &= chosen["lr"] == "auto"
    belongs["grow_batch"] &= chosen["batch_size"] == Config().batch_size
    tuned = chosen["weights"] == "imagenet" and chosen["model"] in PRETRAINED
    belongs |= dict.fromkeys(("weights", *config.FINE_TUNING), tuned)
    belongs["views"] &= chosen["freeze_until"] != "none"
    return {name: value for name, value in settings.items() if belongs.get(name, True)}


SETTINGS = st.fixed_dictionaries({}, optional=VALUES).map(possible)
