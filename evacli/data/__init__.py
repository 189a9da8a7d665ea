"""Data sets: a name or a path becomes uint8 arrays with class names."""

from collections.abc import Mapping
from pkgutil import resolve_name

from evacli import memory
from evacli.catalogue.datasets import DATASETS
from evacli.config import Config
from evacli.data.checks import check, require_classes
from evacli.data.subset import divided, limited
from evacli.data.survey import Survey, survey
from evacli.data.types import Data, Source, Split
from evacli.errors import ConfigError

__all__ = ["Data", "Split", "load"]


def load(config: Config, kept: Mapping[str, str] | None = None) -> Data:
    """Read the data set that the configuration names.

    Data without tests of their own lose a part to them, as `kept` says or else as `--test-split` does.

    `--limit-train` and `--limit-test` take a stratified part of the splits; `--val-split` then cuts the validation
    images off what is left to train on. Both depend on `--seed` alone.

    Raises:
        DataError: if the data cannot be read or used.
        MemoryShort: if the images clearly take more memory than there is; told before they are read.
        ConfigError: if `--val-split` is given for data that has its own validation images.
    """
    # What reads pictures is imported when there are some to read.
    from evacli.data import decoding

    source = decoding.of_size(_source(config, kept), config)
    check(source)
    train, validation = _training(source, config)
    require_classes(train, source.class_names)
    assert source.test is not None
    test = limited(source.test, config.limit_test, config.seed)
    return Data(
        train=train,
        validation=validation,
        test=test,
        class_names=source.class_names,
        flippable=source.flippable,
        drawn=source.drawn,
        **_surveyed(source.class_names, train, validation, test)._asdict(),
    )


def _surveyed(class_names: tuple[str, ...], train: Split, validation: Split | None, test: Split) -> Survey:
    from evacli.data import cache

    splits = [split for split in (train, validation, test) if split is not None]
    found: Survey = cache.remembered(
        [split.images for split in splits],
        [class_names, validation is None, *(split.labels for split in splits)],
        lambda: survey(class_names, train, validation, test),
        Survey,
    )
    return found


def _source(config: Config, kept: Mapping[str, str] | None) -> Source:
    # Imported when needed: Keras and scikit-learn take their time.
    if config.data is not None:
        from evacli.data import path

        return path.read(config.data, config, kept)
    described = DATASETS[str(config.dataset)]
    if config.test_split is not None:
        raise ConfigError(f"--test-split {config.test_split}: {config.dataset} has its own tests.", "Leave it out.")
    # As they are stored, and as they are used.
    memory.require(2 * described.num_images * 3 * described.side**2, f"--dataset {config.dataset} takes", memory.MORE)
    train, test = resolve_name(described.reader)(config.dataset)
    return Source(train, test, described.class_names, flippable=described.flippable)


def _training(source: Source, config: Config) -> tuple[Split, Split | None]:
    train = limited(source.train, config.limit_train, config.seed)
    if config.val_split == 0:
        return train, source.validation
    if source.validation is not None:
        raise ConfigError(f"--val-split {config.val_split}: the data has its own validation images.", "Leave it out.")
    return divided(train, config.val_split, config.seed)
