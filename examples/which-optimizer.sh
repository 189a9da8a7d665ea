#!/usr/bin/env bash
# Which optimizer? Every method of the course on the same network, images and number of epochs, each at the learning
# rate that its own range test suggests. On 10,000 images of CIFAR-10; about a quarter of an hour on two cores.
# DATA names a copy of CIFAR-10 that you have; without it, Keras downloads one. Finished runs are not trained again.
set -euo pipefail
runs=${RUNS:-runs/which-optimizer}
common=(${DATA:+--data "$DATA"} --model "$(dirname "$0")/my_network.py:build" --precision float32
        --limit-train "${IMAGES:-10000}" --limit-test "${TESTS:-5000}")

for optimizer in sgd momentum nesterov adagrad adadelta rmsprop adam adamw sgdw muon lion; do
  run=$runs/$optimizer
  [ -e "$run/summary.json" ] || evacli lr-find "${common[@]}" --optimizer "$optimizer" --max-lr 100 --run "$run"
  evacli train --epochs "${EPOCHS:-5}" --run "$run"
done
evacli compare "$runs"/* --out "${OUT:-$runs}"
