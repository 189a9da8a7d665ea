"""Options, help, signatures: what is read off the one line on which the configuration has a setting."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, StrType, UnionType, type_info
from typer.main import get_command
from typer.testing import CliRunner

import evacli
from evacli import config
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.cli import app
from evacli.config import Config
from evacli.errors import ConfigError

FIELDS = msgspec.inspect.type_info(Config).fields  # as msgspec reads the types, which is not how evacli does
COMMANDS = get_command(app).commands
PANELS = {"Data", "Network", "Augmentation", "Optimisation", "Schedule"}


def kinds(field: Any) -> tuple[Any, ...]:
    return field.type.types if isinstance(field.type, UnionType) else (field.type,)


def out_of_range() -> Iterator[tuple[str, str]]:
    for field in FIELDS:
        for kind in kinds(field):
            if isinstance(kind, IntType | FloatType):
                below = [bound for bound in (kind.gt, kind.ge) if bound is not None]
                above = [bound for bound in (kind.lt, kind.le) if bound is not None]
                yield from ((field.name, f"{int(bound) - 1}") for bound in below)
                yield from ((field.name, f"{int(bound) + 1}") for bound in above)


def allowed(kind: Any) -> list[Any]:
    """Some values of a type."""
    if isinstance(kind, IntType):
        return [(kind.ge or 0) + 1]
    if isinstance(kind, FloatType):
        return [(kind.ge or kind.gt or 0) + 0.25]
    if isinstance(kind, LiteralType):
        return list(kind.values)
    if isinstance(kind, StrType):
        return [next(word for word in ("x", "full", "160", ".35-1") if re.search(kind.pattern or "", word))]
    return [True] if isinstance(kind, BoolType) else []


@pytest.mark.parametrize(("command", "workflow"), [("train", "training.train"), ("lr-find", "lr_finder.range_test")])
def test_every_setting_is_an_option_of_its_type(command: str, workflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(f"evacli.{workflow}.{command.replace('-', '_')}", lambda run, **settings: seen.append(settings))
    told = {field.name: [value for kind in kinds(field) for value in allowed(kind)] for field in FIELDS}
    for which in (0, -1):  # a number, and a word where there is one beside it
        wanted = {name: values[which] for name, values in told.items()}
        given = [part for name, value in wanted.items() for part in (config.option(name), value) if part is not True]
        CliRunner().invoke(app, [command, *map(str, given)])
        assert {name: seen[-1][name] for name in wanted} == wanted
        assert all(type(seen[-1][name]) is type(value) for name, value in wanted.items())
    panels = {p.name: p.rich_help_panel for p in COMMANDS[command].params}
    assert {panels[field.name] for field in FIELDS} == PANELS


@pytest.mark.parametrize(("name", "value"), list(out_of_range()))
def test_ranges_are_refused_by_the_name_of_the_option(name: str, value: str) -> None:
    ended = CliRunner().invoke(app, ["train", "--run", "nowhere", config.option(name), value])
    assert ended.exit_code == 2
    assert re.match(rf"error: {config.option(name)} -?[\d.]+: must be ", ended.stderr), ended.stderr


@pytest.fixture(scope="module")
def helped() -> dict[str, str]:
    """The row of each option in the help of train."""
    ended = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "1000"})
    rows = re.findall(r"│ --([a-z0-9-]+) +(.*?) +│", ended.stdout)
    return {name.replace("-", "_"): row for name, row in rows}


def test_defaults_in_the_help_are_those_of_a_new_run(helped: dict[str, str]) -> None:
    told = 0
    for name, value in msgspec.structs.asdict(Config()).items():
        said = re.search(r"\(([\w.-]+)[^()]*\)$", helped[name])
        if isinstance(value, float):
            assert said
            assert float(said[1]) == value
        elif value is not None and value is not False:
            assert said
            assert said[1] == str(value)
            told += 1
        elif value is False:
            assert not said
    assert told > 10


def test_choices_and_the_defaults_of_optimizers_are_in_the_help(helped: dict[str, str]) -> None:
    for field in FIELDS:
        values = [value for kind in kinds(field) if isinstance(kind, LiteralType) for value in kind.values]
        assert all(value in helped[field.name] for value in values)
    for name, optimizer in OPTIMIZERS.items():
        for setting, value in (optimizer.hyperparameters | {"weight_decay": optimizer.weight_decay}).items():
            said = helped[setting].rpartition("(")[2].rstrip(")").split(", ")
            named = dict(part.rpartition(" ")[::2] for part in said)
            assert float(named.get(name) or named.get("others") or named[""]) == value


def test_only_some_flags_have_a_negative_form() -> None:
    negative = {p.name for p in COMMANDS["train"].params if p.secondary_opts}
    assert negative == {"flip", "tta"}


# Former names


def test_former_names_still_work_and_are_in_no_help(monkeypatch: pytest.MonkeyPatch, helped: dict[str, str]) -> None:
    trained: list[dict[str, object]] = []
    monkeypatch.setattr("evacli.training.train.train", lambda run, **settings: trained.append(settings))
    for spelled in ("--mirror-test", "--no-mirror-test", "--tta", "--no-tta"):
        CliRunner().invoke(app, ["train", spelled, "--epochs", "3"])
    assert [settings["tta"] for settings in trained] == [True, False, True, False]
    assert "mirror" not in " ".join(helped)


def test_a_later_renaming_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.FORMER_NAMES, "stretch_of_time", "epochs")
    ended = CliRunner().invoke(app, ["train", "--stretch-of-time=0"])
    assert ended.stderr.startswith("error: --epochs 0: must be at least 1.")


@pytest.mark.parametrize("word", ["tta", "no-tta", "epochs", "no-mirror", "mirror-tests", "worst", ""])
def test_other_words_keep_their_spelling(word: str) -> None:
    assert config.with_current_name(word) == word


# In a notebook


@pytest.mark.parametrize(("workflow", "own"), [("train", ["run", "overwrite"]), ("lr_find", ["run", "effort"])])
def test_signatures_show_every_setting(workflow: str, own: list[str]) -> None:
    parameters = inspect.signature(getattr(evacli, workflow)).parameters
    assert [*parameters][:2] == own
    settings = msgspec.structs.asdict(Config())
    assert {name: p.default for name, p in parameters.items() if name in settings} == settings
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in settings)
    assert all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert parameters["epochs"].annotation is int
    assert type_info(parameters["lr"].annotation) == type_info(float | config.Literal["auto"])


def test_signatures_need_no_tensorflow() -> None:
    code = """
import inspect, sys, evacli
for workflow in evacli.train, evacli.lr_find:
    assert "weight_decay" in inspect.signature(workflow).parameters
sys.exit("tensorflow" in sys.modules or "keras" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_misspelt_setting_is_refused_with_the_nearest() -> None:
    for workflow in (evacli.train, evacli.lr_find):
        with pytest.raises(ConfigError, match="epoch") as caught:
            workflow("nowhere", epoch=3)
        assert caught.value.fix.startswith("Did you mean epochs? ")


def test_a_misspelt_choice_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        config.make({"optimizer": "adm"})
    assert caught.value.fix.startswith("Did you mean adam? Choose one of sgd, ")
    with pytest.raises(ConfigError) as caught:
        config.make({"optimizer": "something else"})
    assert caught.value.fix.startswith("Choose one of sgd, ")
