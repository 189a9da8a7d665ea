"""How long `evacli --help` takes, against `import tensorflow`.

python benchmarks/startup.py [--rounds 9]
"""

import argparse
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
    print("| | seconds: median (min..max) | share of import tensorflow |\n| --- | ---: | ---: |")
    for name, column in zip(COMMANDS, times.T, strict=True):
        print(f"| {name} | {spread(column, '.3f')} | {spread(column / times[:, -1], '.1%')} |")


def seconds(command: list[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - began


if __name__ == "__main__":
    main()
