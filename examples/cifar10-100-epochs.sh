#!/usr/bin/env bash
# The assignment: all of CIFAR-10, default options, 100 epochs. Interrupt it as you like; started again, it goes on.
# DATA names a copy that you have (the folder cifar-10-batches-py or its .tar.gz); without it, Keras downloads one.
set -euo pipefail
run=${RUN:-runs/cifar10-100-epochs}

[ -e "$run/lr_find.json" ] || evacli lr-find ${DATA:+--data "$DATA"} --run "$run"
evacli train --epochs 100 --run "$run"
evacli gradcam --n 25 --run "$run"
evacli report --run "$run"
