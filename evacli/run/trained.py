"""A run that has been trained, as far as its documents tell: what is known before TensorFlow starts."""

from typing import NamedTuple

from evacli.config import Config
from evacli.run import config_file, summary
from evacli.run.directory import RunDir
from evacli.run.summary import Summary


class Trained(NamedTuple):
    """What a trained run has stored.

    Attributes:
        directory: where.
        config: what it was made with.
        summary: what its training came to.
    """

    directory: RunDir
    config: Config
    summary: Summary


def read(run: RunDir) -> Trained:
    """Read the documents of a trained run.

    Raises:
        RunError: if it has no trained model, or a document of it is garbled.
    """
    run.require_trained()
    return Trained(run, config_file.read(run) or Config(), summary.read(run))
