#!/bin/bash
# Everything that waits for a GPU, in one run of under 13 minutes: the record of speed first, then the generalist.
#
#     bash book/experiments/on_a_card.sh [FOLDER]
#
# Copies what it makes to FOLDER (by default `runs/card`). Each step has its own limit and leaves what it has when it
# reaches it. The generalist's training can be called again and goes on. With DRY=1 it runs what a CPU can, tiny.
set -u
cd "$(dirname "$0")/../.."
into=${1:-runs/card}
mkdir -p "$into"
if [ -n "${DRY:-}" ]; then
    timeout 300 python book/experiments/speed.py --tiny > "$into/speed.log" 2>&1
    echo "speed: $?"
    timeout 60 python book/experiments/generalist.py --help > "$into/generalist.log" 2>&1
    echo "generalist: $?"
    exit 0
fi
timeout --signal=INT 460 python book/experiments/speed.py > "$into/speed.log" 2>&1
echo "speed: $?"
cp book/results/speed.json "$into/"
timeout --signal=INT 300 python book/experiments/generalist.py "$into/generalist" > "$into/generalist.log" 2>&1
echo "generalist: $?"
