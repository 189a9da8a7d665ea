"""Training throughput, input pipeline included: `evacli train` against a notebook, plain Keras, PyTorch and the bound.

    python benchmarks/training.py [--data PATH | --dataset digits] [--rounds 9] [--steps 5] [--only WORD ...]

All train the same 455,370 parameters on batches of 128 real images of 32x32. In every round each rival runs right
beside evacli, and the ratio of the two is one figure.
"""

import argparse
from collections.abc import Sequence

import real_images
from contest import AT_THEIR_BEST, Entry, Rival, compete, machine, table

PARAMETERS = 455_370
OURS = {precision: f"evacli train {precision}" for precision in ("float32", "bfloat16")}


def main() -> None:
    options = parse()
    entries = line_up(options.precision)
    entries = [e for e in entries if e.module == "evacli_train" or any(word in e.name for word in options.only)]
    with real_images.started(options, entries) as rivals:
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
    # As one would run it.
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
