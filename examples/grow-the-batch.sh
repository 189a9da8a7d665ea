#!/usr/bin/env bash
# Don't decay the learning rate, increase the batch size (Smith et al. 2017, arXiv 1711.00489): the same training twice,
# once dividing the rate by five after 1/2 and 3/4 of the epochs, once multiplying the batch size by five instead.
# On 10,000 images of CIFAR-10; some minutes on two cores. DATA names a copy of CIFAR-10 that you have.
set -euo pipefail
runs=${RUNS:-runs/grow-the-batch}
common=(${DATA:+--data "$DATA"} --model "$(dirname "$0")/my_network.py:build" --precision float32
        --limit-train "${IMAGES:-10000}" --limit-test "${TESTS:-5000}"
        --epochs "${EPOCHS:-8}" --batch-size 64 --lr 0.05 --schedule step --drop-factor 5)

evacli train "${common[@]}" --run "$runs/decay-the-rate"
evacli train "${common[@]}" --grow-batch 1600 --run "$runs/grow-the-batch"
evacli compare "$runs"/* --out "${OUT:-$runs}"
