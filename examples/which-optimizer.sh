#!/usr/bin/env bash
# Which optimizer? Every method of the course on the same network, images and number of epochs, each at the learning
# rate that its own range test suggests. On 10,000 images of CIFAR-10; about a quarter of an hour on two cores.
# DATA names a copy of CIFAR-10 that you have; without it, Keras downloads one. Finished runs are not trained again.
set -euo pipefail
cd "$(dirname "$0")"
runs=${RUNS:-../runs/which-optimizer}
data=${DATA:+--data "$DATA"}
network="--model my_network.py:build --limit-train ${IMAGES:-10000} --limit-test ${TESTS:-5000} --precision float32"

for optimizer in sgd momentum nesterov adagrad adadelta rmsprop adam adamw sgdw muon lion; do
  run=$runs/$optimizer
  [ -e "$run/summary.json" ] || evacli lr-find $data $network --optimizer "$optimizer" --max-lr 100 --run "$run"
  evacli train --epochs "${EPOCHS:-5}" --run "$run"
done
evacli compare "$runs"/* --out "${OUT:-$runs}"
