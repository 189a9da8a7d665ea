"""Training throughput, input pipeline included: `evacli train` against a notebook, plain Keras, PyTorch and the bound.

    python benchmarks/training.py [--data PATH | --dataset digits] [--rounds 9] [--steps 5] [--only WORD ...]

All train the same 455,370 parameters on batches of 128 real images of 32x32. In every round each rival runs right
beside evacli, and the ratio of the two is one figure.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace

import real_images
from contest import Entry, Rival, compete, machine, started, table

PARAMETERS = 455_370
OURS = {precision: f"evacli train {precision}" for precision in ("float32", "bfloat16")}
# What evacli does for itself (evacli/backend.py), the rivals get from outside: an allocator that keeps its memory, and
# TensorFlow's faster kernels on processors that it knows nothing of. The notebook (a) stays as one would run it.
AT_THEIR_BEST = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_ARENA_MAX": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def main() -> None:
    options = parse()
    entries = line_up(options.precision)
    entries = [e for e in entries if e.module == "evacli_train" or any(word in e.name for word in options.only)]
    # Enough that no rival comes to the end of an epoch, where other work than steps is done.
    needed = options.batch_size * (len(entries) * (options.steps + 1) * (options.rounds + 1) + 10)
    with tempfile.TemporaryDirectory() as folder:
        path = real_images.write(options, folder, needed, options.batch_size)
        common = ("--data", path, "--batch-size", str(options.batch_size))
        with started([replace(e, arguments=(*common, *e.arguments)) for e in entries]) as rivals:
            check(rivals)
            pairs = compete(rivals, options.rounds, options.steps)
    frameworks = ", ".join(dict.fromkeys(rival.facts["framework"] for rival in rivals.values()))
    print(f"{machine()}\n{frameworks}; {options.rounds} rounds of {options.steps} steps\n")
    print(table(pairs, options.batch_size))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="steps of each rival in a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--precision", nargs="+", choices=OURS, default=list(OURS), help="without hardware for it, bfloat16 takes long"
    )
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="rivals whose name has one of these")
    return parser.parse_args()


def line_up(precisions: Sequence[str]) -> list[Entry]:
    names = {precision: OURS[precision] for precision in precisions}
    entries = [Entry(name, "evacli_train", ("--precision", precision)) for precision, name in names.items()]
    entries.append(Entry("(a) notebook float32", "notebook", against=tuple(names.values())))
    for precision, name in names.items():
        chosen, ours = ("--precision", precision), (name,)
        entries += [
            Entry(f"(b) Keras, tf.data {precision}", "plain_keras", chosen, ours, AT_THEIR_BEST),
            Entry(f"(c) PyTorch eager {precision}", "pytorch", chosen, ours, AT_THEIR_BEST),
            Entry(f"(c) PyTorch compiled {precision}", "pytorch", (*chosen, "--compile"), ours, AT_THEIR_BEST),
            Entry(f"(d) convolutions alone {precision}", "convolutions", chosen, ours, AT_THEIR_BEST),
        ]
    return entries


def check(rivals: dict[str, Rival]) -> None:
    """The comparison is fair only if all train the same network."""
    for name, rival in rivals.items():
        if rival.facts["parameters"] != PARAMETERS:
            raise SystemExit(f"{name} has {rival.facts['parameters']} parameters, not {PARAMETERS}.")


if __name__ == "__main__":
    main()
