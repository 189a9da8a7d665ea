"""The gate for a card: what passes it is an epoch, since a host that waits after each step is no rival."""

import argparse
from typing import Any

from rivals import gate
from rivals.gate import Gate, parser

gate.WARM_UP_STEPS = 2


def options(*extra: str, **choices: Any) -> argparse.Namespace:
    """The options that all rivals have, and flags of one's own."""
    arguments = parser()
    next(a for a in arguments._actions if a.dest == "precision").choices = ("float32", "bfloat16", "float16")
    for name in extra:
        arguments.add_argument(name, action="store_true", **choices)
    return arguments.parse_args()


__all__ = ["Gate", "options"]
