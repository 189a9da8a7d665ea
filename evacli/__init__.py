"""Train an image classifier and see why it errs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evacli.version import __version__

if TYPE_CHECKING:
    from evacli.comparing.compare import compare
    from evacli.doubting.labels import labels
    from evacli.explaining.explain import gradcam
    from evacli.lr_finder.range_test import lr_find
    from evacli.recipes import recipe
    from evacli.reporting.report import report
    from evacli.run.listing import runs
    from evacli.sweeping.sweep import sweep
    from evacli.training.train import train
    from evacli.using.evaluate import evaluate
    from evacli.using.export import export
    from evacli.using.predict import predict

_WORKFLOWS = {
    "lr_find": "evacli.lr_finder.range_test",
    "train": "evacli.training.train",
    "report": "evacli.reporting.report",
    "gradcam": "evacli.explaining.explain",
    "labels": "evacli.doubting.labels",
    "predict": "evacli.using.predict",
    "evaluate": "evacli.using.evaluate",
    "export": "evacli.using.export",
    "compare": "evacli.comparing.compare",
    "sweep": "evacli.sweeping.sweep",
    "runs": "evacli.run.listing",
    "recipe": "evacli.recipes",
}

__all__ = [
    "__version__",
    "compare",
    "evaluate",
    "export",
    "gradcam",
    "labels",
    "lr_find",
    "predict",
    "recipe",
    "report",
    "runs",
    "sweep",
    "train",
]


def __dir__() -> list[str]:
    # What Tab offers: the workflows, and nothing that only helps them.
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    # Resolved on first use (PEP 562), so that `import evacli` costs no TensorFlow import.
    if name in _WORKFLOWS:
        return getattr(import_module(_WORKFLOWS[name]), name)
    raise AttributeError(f"module 'evacli' has no attribute '{name}'")
