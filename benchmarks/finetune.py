"""Fine-tuning a MobileNetV2 on few photographs, each way as whole processes: time and accuracy on the test split.

    python benchmarks/finetune.py --data FOLDER --weights mobilenet_v2.weights.h5 [--seeds 0 1 2] [--only WORD ...]

evacli is timed from its command to the end of its report; what counts is the last epoch, as its recipe has it, and no
other is tested. The rival is Keras' guide on transfer learning in plain Keras (`rivals/keras_guide.py`); the last row
is evacli's training of the same network from random weights. All see the same photographs, in turn, in folders train,
validation and test. Seconds of the processor, over all cores, beside those on the clock tell how busy the machine was.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

GUIDE = Path(__file__).parent / "rivals" / "keras_guide.py"


def main() -> None:
    options = parse()
    ways = {
        "evacli train --weights": lambda seed, run: evacli(options, seed, run, ["--weights", options.weights]),
        "Keras' transfer-learning guide": lambda seed, run: guide(options, seed),
        "evacli, the same network from scratch": lambda seed, run: evacli(options, seed, run, SCRATCH),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for seed in options.seeds:
        for name, way in ways.items():
            if not any(word in name for word in options.only):
                continue
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic(), processor()
                accuracy = way(seed, Path(folder) / "run")
                found[name].append((accuracy, time.monotonic() - began[0], processor() - began[1]))
            accuracy, seconds, of_processor = found[name][-1]
            told = f"seed {seed}, {name}: {accuracy:.2%}, {seconds:.0f} s, {of_processor:.0f} s of the processor"
            print(told, file=sys.stderr, flush=True)
    print("| way | test accuracy, each seed | mean | seconds | of the processor |\n| --- | ---: | ---: | ---: | ---: |")
    for name, results in found.items():
        if results:
            accuracies, times, of_processor = zip(*results, strict=True)
            each = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
            seconds = (", ".join(f"{t:.0f}" for t in some) for some in (times, of_processor))
            print(f"| {name} | {each} | {mean(accuracies):.2%} | {' | '.join(seconds)} |")


SCRATCH = ["--recipe", "finetune", "--weights", "none", "--model", "mobilenet_v2"]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train, validation and test")
    parser.add_argument("--weights", required=True, help="of a MobileNetV2 without its classes, .weights.h5")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="ways whose name has one of these")
    return parser.parse_args()


def processor() -> float:
    """Return the seconds that processes which have ended took of the processor, over all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def evacli(options: argparse.Namespace, seed: int, run: Path, more: list[str]) -> float:
    """Train and report; what was computed for another seed or another time is not there."""
    for command in (
        ["train", "--data", options.data, "--seed", str(seed), *more],
        ["report"],
    ):
        given = [sys.executable, "-m", "evacli", *command, "--run", str(run), "--quiet"]
        subprocess.run(given, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"EVACLI_CACHE": f"{run}-cache"})
    accuracy: float = json.loads((run / "summary.json").read_text())["test_accuracy"]
    return accuracy


def guide(options: argparse.Namespace, seed: int) -> float:
    given = [sys.executable, GUIDE, "--data", options.data, "--weights", options.weights, "--seed", str(seed)]
    ended = subprocess.run(given, check=True, stdout=subprocess.PIPE, text=True)
    accuracy: float = json.loads(ended.stdout.splitlines()[-1])["accuracy"]
    return accuracy


if __name__ == "__main__":
    main()
