"""How many labels that were wrong on purpose evacli labels finds, against ranking by loss alone.

Takes a trained run; what its network says about the test images stays the same, only their labels change.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli import evaluation, metrics
from evacli.doubting.suspects import find
from evacli.evaluation import Predictions
from evacli.run import trained
from evacli.run.directory import RunDir

Labels = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="where its data lies now")
    parser.add_argument("--share", type=float, default=0.05, help="of labels that are made wrong")
    parser.add_argument("--rounds", type=int, default=5, help="draws of these labels")
    options = parser.parse_args()
    said = evaluation.open_run(trained.read(RunDir(options.run)), options.data).test
    print(f"Accuracy with the labels as they are: {said.accuracy:.2%}; {len(find(said)):,} suspected.\n")
    print("| made wrong | suspected | precision | recall | precision by loss | recall by loss |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, others in (("at random", at_random), ("to the most similar class", to_the_most_similar)):
        rounds = [measure(said, options.share, others, seed) for seed in range(options.rounds)]
        suspected, *shares = np.mean(rounds, axis=0)
        print(f"| {name} | {suspected:,.0f} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


def measure(
    said: Predictions, share: float, others: Callable[[Predictions, np.random.Generator], Labels], seed: int
) -> tuple[float, ...]:
    """Return how many labels are suspected, and precision and recall of them and of as many with the highest loss."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(said.labels), round(share * len(said.labels)), replace=False)
    labels = said.labels.copy()
    labels[wrong] = others(said, rng)[wrong]
    noisy = Predictions(said.probabilities, labels)
    suspects = find(noisy)
    by_loss = np.argsort(-noisy.losses, kind="stable")[: len(suspects)]
    hits = [len(np.intersect1d(found, wrong)) for found in (suspects, by_loss)]
    return len(suspects), *(hit / n for hit in hits for n in (len(suspects), len(wrong)))


def at_random(said: Predictions, rng: np.random.Generator) -> Labels:
    """Return another class for each image."""
    classes = said.probabilities.shape[1]
    return (said.labels + rng.integers(1, classes, len(said.labels))) % classes


def to_the_most_similar(said: Predictions, _: np.random.Generator) -> Labels:
    """Return for each image the class that the network most often takes its class for."""
    confusions = metrics.count_confusions(said.labels, said.predicted, said.probabilities.shape[1])
    np.fill_diagonal(confusions, -1)
    return confusions.argmax(axis=1)[said.labels]


if __name__ == "__main__":
    main()
