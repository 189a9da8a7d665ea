"""Peak memory of `evacli train` over one epoch with its test, all of CIFAR-10; takes minutes.

python benchmarks/memory.py [--data PATH | --dataset digits]
"""

import argparse
import os
import subprocess
import sys
import tempfile

import real_images
from contest import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    options = parser.parse_args()
    data = ("--data", options.data) if options.data else ("--dataset", options.dataset)
    print(f"{machine()}\n")
    for precision in ("float32", "bfloat16"):
        print(f"evacli train, {precision}: {peak(data, precision):.2f} GB at most", flush=True)


def peak(data: tuple[str, ...], precision: str) -> float:
    """Largest resident set in GB (10^9 bytes)."""
    with tempfile.TemporaryDirectory() as run:
        options = ("--epochs", "1", "--precision", precision, "--run", run, *data)
        process = subprocess.Popen([sys.executable, "-m", "evacli", "train", *options], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"evacli train ended with {os.waitstatus_to_exitcode(status)}.")
        return usage.ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
