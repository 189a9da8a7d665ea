#!/usr/bin/env bash
# The fast recipe, three seeds, and once more with a tenth of the training images kept apart to choose the epoch; three to six
# minutes each on two cores. DATA names a copy of CIFAR-10 that you have; without it, Keras downloads one. What is
# unfinished goes on.
set -euo pipefail
runs=${RUNS:-runs/fast}
common=(--recipe fast ${DATA:+--data "$DATA"})

for seed in 0 1 2; do
  evacli train "${common[@]}" --seed "$seed" --run "$runs/seed-$seed"
done
evacli train "${common[@]}" --val-split 0.1 --run "$runs/val-split"
evacli compare "$runs"/* --out "${OUT:-$runs}"
python - "$runs" <<'EOF'
import json, pathlib, statistics, sys
tops = [json.loads(path.read_text())["top_accuracy"] for path in pathlib.Path(sys.argv[1]).glob("seed-*/summary.json")]
print(f"Top accuracy of {len(tops)} seeds: mean {statistics.mean(tops):.2%}, deviation {statistics.stdev(tops):.2%}")
EOF
