"""Throughput of `evacli train --recipe airbench` against airbench94's own step in PyTorch, on the same filters.

    python benchmarks/airbench.py [--data PATH | --dataset digits] [--rounds 5] [--steps 2]

The time to an accuracy is the number of epochs that it takes, divided by this.
"""

import argparse

import real_images
from contest import AT_THEIR_BEST, Entry, compete, machine, table


def main() -> None:
    options = parse()
    ours = f"evacli, airbench {options.precision}"
    precision = ("--precision", options.precision)
    entries = [
        Entry(ours, "evacli_train", (*precision, "--recipe", "airbench")),
        Entry("airbench94 in PyTorch, eager", "airbench_pytorch", precision, (ours,), AT_THEIR_BEST),
        Entry("airbench94 in PyTorch, compiled", "airbench_pytorch", (*precision, "--compile"), (ours,), AT_THEIR_BEST),
    ]
    with real_images.started(options, entries) as rivals:
        pairs = compete(rivals, options.rounds, options.steps)
    print(f"{machine()}\n{options.rounds} rounds of {options.steps} steps of {options.batch_size} images\n")
    print(table(pairs, options.batch_size))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2, help="steps of each rival in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
