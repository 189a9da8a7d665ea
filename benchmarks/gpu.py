"""One graphics card: evacli against PyTorch, plain Keras under XLA and the bound; then whole trainings.

    python benchmarks/gpu.py [--data PATH] [--minutes 10] [--out gpu.md] [--only WORD ...] [--tiny]

Everything is compiled and warm before it is measured, an epoch of all images at a time, one rival after the other in
each round; figures are printed as they come, and the table so far is in `--out` after each stage. What does not run,
such as PyTorch where it is not installed, is said and left out. `--tiny` tries the script itself, on any machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np
import real_images
from contest import HERE, DoesNotRun, Entry, Rival, machine, spread

BEGAN = perf_counter()


def main() -> None:
    options = parse()
    report = Report(Path(options.out))
    report.say(f"{card()}; {machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        data = images(options, folder)
        for size in (16,) if options.tiny else (128, 512):
            if report.in_time(options, f"eva at batch {size}"):
                throughput(options, data, size, report)
        for title, module, arguments in wholes(options):
            if any(word in title for word in options.only) and report.in_time(options, title):
                whole(title, module, [*arguments, "--data", data], report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="of each rival in a round")
    parser.add_argument("--minutes", type=float, default=10, help="after which no stage is begun")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="what has one of these in its name")
    parser.add_argument("--out", default="gpu.md", help="where the tables go")
    parser.add_argument("--tiny", action="store_true", help="few images, one round")
    return parser.parse_args()


class Report:
    """What was found so far, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, []

    def say(self, text: str) -> None:
        print(text, flush=True)
        self._lines.append(text)
        self._path.write_text("\n".join(self._lines) + "\n", encoding="utf-8")

    def in_time(self, options: argparse.Namespace, stage: str) -> bool:
        minutes = (perf_counter() - BEGAN) / 60
        note(f"{stage} begins")
        if minutes < options.minutes:
            return True
        self.say(f"{stage} is left out: {minutes:.1f} minutes are over.\n")
        return False


def images(options: argparse.Namespace, folder: str) -> str:
    path = real_images.write_all(options, folder)
    if options.tiny:
        with np.load(path) as arrays:
            few = {name: np.resize(arrays[name][:70], (70, *arrays[name].shape[1:])) for name in arrays.files}
        np.savez(path, **few)
    return path


# -- images/s of steps alone -------------------------------------------------------------------------------------------


def line_up(size: int) -> list[Entry]:
    chosen = ("--precision", "bfloat16")
    return [
        Entry(f"evacli {size}", "gpu_evacli", chosen),
        Entry(f"evacli without XLA {size}", "gpu_evacli", (*chosen, "--no-xla")),
        Entry(f"evacli float16 {size}", "gpu_evacli", ("--precision", "float16")),
        Entry(f"PyTorch eager {size}", "gpu_pytorch", chosen),
        Entry(f"PyTorch compiled {size}", "gpu_pytorch", (*chosen, "--compile")),
        Entry(f"Keras fit, XLA {size}", "gpu_keras", chosen),
        Entry(f"convolutions alone {size}", "gpu_convolutions", chosen),
    ]


def throughput(options: argparse.Namespace, data: str, size: int, report: Report) -> None:
    entries = [entry for entry in line_up(size) if any(word in entry.name for word in options.only)]
    common = ("--data", data, "--batch-size", str(size))
    with ThreadPoolExecutor(len(entries) or 1) as threads:  # they compile side by side
        rivals = [one for one in threads.map(lambda e: start(e, common), entries) if one]
    speeds: dict[str, list[float]] = defaultdict(list)
    try:
        for number in range(1 if options.tiny else options.rounds):
            for rival in rivals[:: 1 if number % 2 else -1]:
                epochs = 1 if options.tiny else options.epochs
                try:
                    speed = rival.facts["images"] / rival.measure(epochs)["seconds"]
                except DoesNotRun as e:
                    print(f"{rival.entry.name} ended: {e}")
                    continue
                speeds[rival.entry.name].append(speed)
                note(f"round {number + 1}: {rival.entry.name}: {speed:,.0f} images/s")
        memory = {rival.entry.name: taken(rival._process.pid) for rival in rivals}
    finally:
        for rival in rivals:
            rival.close()
    report.say(
        f"| batch {size} | images/s: median (min..max) | ready after, s | GPU memory |\n| --- | ---: | ---: | ---: |"
    )
    for rival in rivals:
        name, facts = rival.entry.name, rival.facts
        if speeds[name]:
            report.say(f"| {name} | {spread(speeds[name], ',.0f')} | {facts['ready']:.0f} | {memory[name]} |")
    report.say("")


def start(entry: Entry, common: tuple[str, ...]) -> Rival | None:
    began = perf_counter()
    try:
        rival = Rival(Entry(entry.name, entry.module, (*common, *entry.arguments)))
    except DoesNotRun as e:
        print(f"{entry.name} does not run here: {e}", flush=True)
        return None
    rival.facts["ready"] = perf_counter() - began
    note(f"{entry.name} is ready, {rival.facts['framework']}")
    return rival


# -- whole trainings ---------------------------------------------------------------------------------------------------


def wholes(options: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    short = ["--epochs", "2"] if options.tiny else []
    return [
        ("evacli, 100 epochs of eva", "gpu_whole", short or ["--epochs", "100"]),
        ("evacli, recipe airbench", "gpu_whole", ["--recipe", "airbench", *short]),
        ("airbench94_muon in PyTorch", "airbench94_muon", short),
    ]


def whole(title: str, module: str, arguments: list[str], report: Report) -> None:
    began = perf_counter()
    command = [sys.executable, "-m", f"rivals.{module}", *arguments]
    command += [f"--began={time()}"] if module == "gpu_whole" else []
    done = subprocess.run(command, cwd=HERE, env=os.environ, stdout=subprocess.PIPE, check=False, text=True)
    try:
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        report.say(f"{title} does not run here.\n")
        return
    facts = {"whole process, s": perf_counter() - began} | facts
    report.say(f"| {title} | |\n| --- | ---: |")
    for name, value in facts.items():
        report.say(f"| {name} | {value:,.4g} |" if isinstance(value, float | int) else f"| {name} | {value} |")
    report.say("")


def card() -> str:
    return smi("--query-gpu=name,driver_version,memory.total") or "no card"


def taken(pid: int) -> str:
    lines = smi("--query-compute-apps=pid,used_memory").splitlines()
    return next((line.split(",")[1].strip() for line in lines if line.startswith(f"{pid},")), "")


def smi(query: str) -> str:
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def note(text: str) -> None:
    print(f"[{perf_counter() - BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
