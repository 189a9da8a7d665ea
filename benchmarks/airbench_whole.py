"""Time and accuracy of the whole recipe `airbench` beside the whole of airbench94 in PyTorch, seed by seed.

    python benchmarks/airbench_whole.py [--data PATH | --dataset digits] [--seeds 2] [--precision bfloat16] [--tests]

Each is a process of its own, from its start to its last test; who runs first changes from seed to seed. All of CIFAR-10
takes two cores half an hour a seed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import Any

import real_images
from contest import AT_THEIR_BEST, HERE, machine, note

PROGRAMS: dict[str, dict[str, str]] = {"airbench_evacli": {}, "airbench94": AT_THEIR_BEST}
COLUMNS = ("process", "training", "tests", "final_test")
HEADINGS = ("the whole process", "training", "tests between epochs", "last test, with copies")


def main() -> None:
    options = parse()
    print(f"{machine()}, {options.precision}\n")
    print(f"| | seed | {' | '.join(f'{heading}, s' for heading in HEADINGS)} | accuracy | with copies |")
    print(f"| --- | {' | '.join(['---:'] * (len(HEADINGS) + 3))} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = real_images.write_all(options, folder)
        for seed in range(options.seeds):
            for program in list(PROGRAMS)[:: -1 if seed % 2 else 1]:
                note(f"seed {seed}, {program}, load {os.getloadavg()[0]:.1f}")
                print(line(program, seed, run(program, data, seed, options)), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--epochs", help="of both; by default each one's own")
    parser.add_argument("--tests", action="store_true", help="test after each epoch")
    return parser.parse_args()


def run(program: str, data: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """What the program says at its end, and the seconds of its process."""
    given = [f"--data={data}", f"--seed={seed}", f"--precision={options.precision}"]
    given += [f"--epochs={options.epochs}"] * bool(options.epochs) + ["--tests"] * options.tests
    command = [sys.executable, "-m", f"rivals.{program}", *given]
    began = perf_counter()
    done = subprocess.run(command, cwd=HERE, env=os.environ | PROGRAMS[program], stdout=subprocess.PIPE, check=True)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts | {"process": perf_counter() - began}


def line(program: str, seed: int, facts: dict[str, Any]) -> str:
    """A row of the table."""
    seconds = [f"{facts[column]:,.0f}" for column in COLUMNS]
    accuracies = [f"{facts[name]:.2%}" if facts[name] else "" for name in ("accuracy", "accuracy_with_copies")]
    return f"| {program} | {seed} | {' | '.join([*seconds, *accuracies])} |"


if __name__ == "__main__":
    main()
