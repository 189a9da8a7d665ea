import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from evacli_processes import Evacli
from hypothesis import HealthCheck, settings
from tiny_data import write_digits

from evacli import console

# What a shell puts into the background, and nohup starts, ignores signals that tests send; trainings would do so too.
for signum, answer in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, answer)

# A machine that has other work is no reason for a test to fail.
settings.register_profile("evacli", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evacli")
# For make test-fast: what is told of a test by hundreds of examples, a few tell quickly.
settings.register_profile("fast", settings.get_profile("evacli"), max_examples=10)


# Begun first, so that no process works on one of these at the end while the other has nothing left to do.
LONG = ("test_faults", "test_finetuning", "test_training", "test_twin", "test_resuming", "test_bad_inputs", "test_cli")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The processes of `evacli` start TensorFlow whatever the command; and long files come first."""
    items.sort(key=lambda item: item.path.stem not in LONG)
    for item in items:
        if "evacli" in getattr(item, "fixturenames", ()):
            item.add_marker("tensorflow")


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What evacli remembers of its user is none of the tests' business, nor the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def _console(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test asked for, --json or --quiet, does not silence the next one; and no line comes by the clock."""
    monkeypatch.setattr(console, "PATIENCE", 1e6)
    yield
    console.configure()


@pytest.fixture(scope="session")
def evacli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evacli]:
    """Runs `evacli ...` in processes of their own."""
    server = Evacli(tmp_path_factory.mktemp("processes"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz of 200 + 100 handwritten digits of 8x8 pixels: real, and learnt in a second."""
    return write_digits(tmp_path_factory.mktemp("data") / "digits.npz")
