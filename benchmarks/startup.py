"""How long `evacli --help` takes, against `import tensorflow`.

python benchmarks/startup.py [--rounds 9]
"""

import argparse
import resource
import subprocess
import sys
from time import perf_counter

import numpy as np
from contest import machine, spread

COMMANDS = {
    "evacli --help": [sys.executable, "-m", "evacli", "--help"],
    "evacli train --help": [sys.executable, "-m", "evacli", "train", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import tensorflow'": [sys.executable, "-c", "import tensorflow"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for command in COMMANDS.values():
        seconds(command)  # fills the file cache
    times = np.array([[seconds(command) for command in COMMANDS.values()] for _ in range(options.rounds)])
    print(f"{machine()}; {options.rounds} rounds\n")
    print("| | seconds: median (min..max) | CPU seconds: median (min..max) | time, as a share of import tensorflow's |")
    print("| --- | ---: | ---: | ---: |")
    for number, name in enumerate(COMMANDS):
        clock, cpu = times[:, number].T
        share = clock / times[:, -1, 0]
        print(f"| {name} | {spread(clock, '.3f')} | {spread(cpu, '.3f')} | {spread(share, '.1%')} |")


def seconds(command: list[str]) -> tuple[float, float]:
    """By the clock, and of the processor."""
    began, before = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
