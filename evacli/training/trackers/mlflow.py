"""MLflow: where its own variables say, else a database in the run directory."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from evacli.run import documents
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import Summary
from evacli.training.trackers import figures, outcome

# A server that does not answer would hold the training up for minutes at each attempt. And nobody asked for telemetry.
DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}
EXPERIMENT = "evacli"
STATUS = {"finished": "FINISHED", "unfinished": "KILLED", "failed": "FAILED"}


class Known(msgspec.Struct, frozen=True):
    """Which run of MLflow's this is.

    Attributes:
        place: a digest of where it is kept, which may have a password in it.
        id: of the run there.
    """

    place: str
    id: str


class MLflow:
    """Keeps one run of MLflow's for one run directory; see `evacli.training.trackers.Tracker`."""

    def __init__(self, run: RunDir) -> None:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        run.mlflow.mkdir(exist_ok=True)
        folder = run.mlflow.resolve()
        place = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(place or f"sqlite:///{folder / 'mlflow.db'}")
        self._artifacts = None if place else (folder / "artifacts").as_uri()
        digest = blake2b((place or "").encode(), digest_size=16).hexdigest()
        self._id = self._found(run, digest) or self._made(run, digest)
        metrics = self._client.get_run(self._id).data.metrics
        self._known = {
            (name, metric.step) for name in metrics for metric in self._client.get_metric_history(self._id, name)
        }

    def _found(self, run: RunDir, place: str) -> str | None:
        with suppress(*documents.UNREADABLE):
            known = documents.read(run.mlflow_run, Known)
            if known.place == place and self._is_there(known.id):
                return known.id
        return None

    def _is_there(self, run_id: str) -> bool:
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as e:
            if e.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _made(self, run: RunDir, place: str) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name, self._artifacts)
        made = self._client.create_run(number, run_name=run.path.resolve().name).info.run_id
        documents.write(run.mlflow_run, Known(place, made))
        return str(made)

    def begin(self, config: Mapping[str, Any]) -> None:
        """Note the settings as parameters; one that has changed since, which MLflow does not allow, as a tag."""
        self._client.update_run(self._id, status="RUNNING")
        before = self._client.get_run(self._id).data.params
        new = {name: str(value) for name, value in config.items() if before.get(name) != str(value)}
        self._client.log_batch(self._id, params=[Param(*item) for item in new.items() if item[0] not in before])
        for name in new.keys() & before.keys():
            self._client.set_tag(self._id, name, new[name])

    def epoch(self, row: Row) -> None:
        """Note the figures as metrics."""
        self._note(figures(row), row.epoch)

    def keep(self, files: Sequence[Path]) -> None:
        """Copy the files as artifacts."""
        for file in files:
            self._client.log_artifact(self._id, str(file))

    def end(self, summary: Summary) -> None:
        """Note the final figures, and how it ended."""
        self._note(outcome(summary), summary.epochs_done)
        self._client.set_terminated(self._id, STATUS[summary.state])

    def _note(self, values: Mapping[str, float], epoch: int) -> None:
        new = {name: value for name, value in values.items() if (name, epoch) not in self._known}
        now = int(1000 * time.time())
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, epoch) for name, value in new.items()])
        self._known |= {(name, epoch) for name in new}
