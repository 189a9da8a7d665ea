"""data.npz: arrays that a notebook gave as data, kept in the run for its later commands."""

from collections.abc import Mapping
from typing import Any

from evacli import config
from evacli.errors import Contradiction, DataError
from evacli.run.directory import RunDir, write_atomically

KEYS = ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val")


def kept(run: RunDir, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of which `data`, where it is arrays, is the path of a file that holds them.

    Args:
        run: the run directory, which gets the file.
        settings: `data` may be (x_train, y_train), that and (x_test, y_test), or a mapping with these names.

    Raises:
        DataError: if there are other numbers of arrays.
        Contradiction: if the run is trained, on other arrays.
        ConfigError: if another setting cannot be used; then nothing is written.

    Example:
        >>> kept(RunDir("runs/a"), {"data": (x_train, y_train, x_test, y_test)})["data"]
        'runs/a/data.npz'
    """
    given = settings.get("data")
    if not isinstance(given, tuple | list | Mapping):
        return dict(settings)
    others = {name: value for name, value in settings.items() if name != "data"}
    config.check(others)
    arrays = _named(given)
    path = str(run.data)
    if run.has_checkpoint:
        if not _same(run, arrays):
            raise Contradiction(f"{run.path} was trained on other arrays.", "Leave data out, or name a new run.")
    else:
        from evacli.run import array_file

        run.create()
        write_atomically(run.data, lambda target: array_file.write(target, arrays))
    return others | {"data": path}


def _named(given: Any) -> dict[str, Any]:
    import numpy as np

    if isinstance(given, Mapping):
        named = {str(name): value for name, value in given.items()}
    elif len(given) in (2, 4, 6):
        named = dict(zip(KEYS, given, strict=False))
    else:
        raise DataError(f"data has {len(given)} arrays.", "Give (x_train, y_train, x_test, y_test), or a path.")
    arrays = {name: np.asarray(array) for name, array in named.items()}
    if odd := [name for name, array in arrays.items() if array.dtype.hasobject]:
        raise DataError(f"{odd[0]} holds {arrays[odd[0]].dtype}, which no file can hold.", "Give numbers or names.")
    return arrays


def _same(run: RunDir, arrays: Mapping[str, Any]) -> bool:
    import numpy as np

    try:
        with np.load(run.data, allow_pickle=False) as stored:
            same = all(np.array_equal(stored[name], array) for name, array in arrays.items())
            return same and set(stored.files) == set(arrays)
    except (OSError, ValueError, KeyError):
        return False
