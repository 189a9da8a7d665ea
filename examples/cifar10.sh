#!/usr/bin/env bash
# The whole job on CIFAR-10, one command at a time. All options have defaults; these make a first look of some minutes.
# EPOCHS=100 trains as long as the course assignment; interrupt it as you like, started again it goes on.
# DATA names a copy that you have (the folder cifar-10-batches-py or its .tar.gz); without it, Keras downloads one.
set -euo pipefail
run=${RUN:-runs/cifar10}

[ -e "$run/summary.json" ] || evacli lr-find ${DATA:+--data "$DATA"} --run "$run"
evacli train ${DATA:+--data "$DATA"} --epochs "${EPOCHS:-3}" --run "$run"
evacli gradcam --n 25 --run "$run"
evacli report --run "$run"
