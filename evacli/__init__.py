"""Train an image classifier and see why it errs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from evacli.explaining import gradcam
    from evacli.lr_range_test import lr_find
    from evacli.reporting import report
    from evacli.run_list import runs
    from evacli.training import train

_WORKFLOWS = {
    "lr_find": "evacli.lr_range_test",
    "train": "evacli.training",
    "report": "evacli.reporting",
    "gradcam": "evacli.explaining",
    "runs": "evacli.run_list",
}

__all__ = ["__version__", "gradcam", "lr_find", "report", "runs", "train"]


def __getattr__(name: str) -> Any:
    # Resolved on first use (PEP 562), so that `import evacli` costs no TensorFlow import.
    if name in _WORKFLOWS:
        return getattr(import_module(_WORKFLOWS[name]), name)
    raise AttributeError(f"module 'evacli' has no attribute '{name}'")
