"""Packages that only some commands need, and the extras of evacli that bring them along."""

from collections.abc import Iterable
from importlib.util import find_spec

from evacli.errors import ConfigError
from evacli.formats import joined


def require(option: str, packages: Iterable[str], extra: str) -> None:
    """Refuse an option whose packages are not installed.

    Raises:
        ConfigError: with the command that installs them.

    Example:
        require("--format onnx", ["tf2onnx", "onnxruntime"], "onnx")
    """
    missing = [name for name in packages if not installed(name)]
    if missing:
        raise ConfigError(
            f"{option} needs {joined(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            f"Run: pip install 'evacli[{extra}]'",
        )


def installed(package: str) -> bool:
    """Whether a package could be imported."""
    return find_spec(package) is not None
