"""A process that takes its part in a training which another one leads. It writes nothing, and decides nothing."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from evacli import config, console, data, network_file
from evacli.config import Config
from evacli.data.types import Data
from evacli.engine.replicas.crew import Crew, Order, heeding_loss
from evacli.engine.replicas.processes import WorkerEngine
from evacli.errors import EvacliError, PrecisionError, Stopped
from evacli.formats import counted
from evacli.run import split_file
from evacli.run.directory import RunDir
from evacli.run.summary import Summary
from evacli.run.versions import versions
from evacli.training.learner import assemble
from evacli.training.signals import StopRequest

# What has to be the same. Processors may differ, and then so may the last bits.
_SAME = ("evacli", "keras", "tensorflow", "numpy")
_OWN = frozenset({"data"})  # what each process may have at a place of its own


def introduce(crew: Crew, settled: Config, loaded: Data) -> None:
    """Tell the others, as the chief, what is to be trained on what.

    Raises:
        EvacliError: if one of them has other data, versions or settings.
    """
    about = {"config": msgspec.to_builtins(settled), "data": _described(loaded), "versions": versions()}
    crew.order("begin", **about)
    crew.agree()


def serve(crew: Crew, run: RunDir, given: Mapping[str, Any]) -> Summary:
    """Do what the chief says, to the end.

    Args:
        crew: all processes.
        run: what the chief, on a disk of its own or on this one, trains in.
        given: the settings that this process was given.

    Returns:
        What the training came to.

    Raises:
        Stopped: if the chief has stopped, or failed.
        WorkerLost: if another process is gone.
        EvacliError: if something of this process differs from the chief's.
    """
    place, request = crew.place, StopRequest()
    console.note(f"Process {place.index + 1} of {place.count}; the first one tells how the training goes.")
    with heeding_loss(), request:
        while True:
            order = crew.hear()
            told = order.document
            if told["do"] == "begin":
                loaded = _begin(crew, order, run, given)
            elif told["do"] == "prepare":
                with suppress(PrecisionError):  # the chief, which has the same, then decides
                    learner = assemble(msgspec.convert(told["config"], Config), loaded)
                    engine: WorkerEngine = getattr(learner.engine, "tails", learner.engine)  # type: ignore[arg-type]
                    engine.asked = lambda: request.signum
            elif told["do"] == "end":
                return _end(told)
            else:
                engine.obey(order)


def _begin(crew: Crew, order: Order, run: RunDir, given: Mapping[str, Any]) -> Data:
    """Read this process' data; tell the others if that or something else differs."""
    told, loaded, refusal = order.document, None, ""
    try:
        theirs = msgspec.convert(told["config"], Config)
        ours = config.make(given, theirs)
        refusal = config.contradictions(theirs, ours, _OWN)
        if not refusal:
            network_file.allow(ours.model, run, named="model" in given)
            loaded = data.load(ours, split_file.read(run, ours))
            refusal = _difference(told["data"], _described(loaded)) or _difference(told["versions"], versions())
    except EvacliError as e:
        refusal = str(e)
    crew.agree(refusal)
    assert loaded is not None
    return loaded


def _described(loaded: Data) -> dict[str, str]:
    return {
        "data": counted(len(loaded.train), "training image"),
        "classes": ", ".join(loaded.class_names),
        "digest of the data": loaded.fingerprint,
    }


def _difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    names = [name for name in theirs if name in ours and (name in _SAME or "evacli" not in theirs)]
    found = [f"{name} {ours[name]} (first process: {theirs[name]})" for name in names if ours[name] != theirs[name]]
    return "; ".join(found[:1])


def _end(told: Mapping[str, Any]) -> Summary:
    if told["code"]:
        stopped = Stopped(f"The first process has ended: {told['said']}")
        stopped.exit_code = told["code"]
        raise stopped
    return msgspec.convert(told["summary"], Summary)
