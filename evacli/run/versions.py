"""What else the bits of a result depend on."""

import os
import platform
from importlib.metadata import version

from evacli.version import __version__

_PACKAGES = ("keras", "tensorflow", "numpy")


def versions() -> dict[str, str]:
    """Versions of evacli, Python and the libraries that compute, and the settings that change rounding."""
    return {
        "evacli": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
    }
