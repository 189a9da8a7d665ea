#!/usr/bin/env bash
# The whole job on CIFAR-10, one command at a time. All options have defaults; these make a first look of some minutes.
# EPOCHS=100 trains as long as the course assignment; interrupt it as you like, started again it goes on.
# PRECISION is auto unless it says float32 or bfloat16.
# DATA names a copy that you have (the folder cifar-10-batches-py or its .tar.gz); without it, Keras downloads one.
set -euo pipefail
run=${RUN:-runs/cifar10}

common=(${DATA:+--data "$DATA"} ${PRECISION:+--precision "$PRECISION"} --run "$run")

[ -e "$run/summary.json" ] || evacli lr-find "${common[@]}"
evacli train "${common[@]}" --epochs "${EPOCHS:-3}"
evacli gradcam --n 25 --run "$run"
evacli report --run "$run"
