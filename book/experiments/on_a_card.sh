#!/bin/bash
# Everything that waits for a GPU, in one run of under 13 minutes: the record of speed first, then the generalist.
#
#     bash book/experiments/on_a_card.sh [FOLDER [PART]]
#
# Needs the packages of pyproject.toml (pooch excepted) and diffusers; the checkout itself need not be installed.
# Copies what it makes to FOLDER (by default `runs/card`). PART is `speed` (under 8 minutes) or `generalist` (5); if not
# given, both. Each has its own limit and leaves what it has when it reaches it. The generalist's training can be called
# again and goes on. With DRY=1 it runs what a CPU can, tiny.
set -u
cd "$(dirname "$0")/../.."
into=${1:-runs/card}
parts=${2:-speed generalist}
mkdir -p "$into"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
python -c "import accelerate, diffusers, safetensors, scipy, skimage, tifffile, torch, tqdm" || exit 1

# limited NAME SECONDS COMMAND...: what it prints goes to NAME.log, and how it ended is told.
limited() {
    timeout --signal=INT "$2" "${@:3}" > "$into/$1.log" 2>&1
    echo "$1: $?"
}

for part in $parts; do
    case "$part${DRY:+ dry}" in
        "speed dry") limited speed 300 python book/experiments/speed.py --tiny ;;
        "generalist dry") limited generalist 60 python book/experiments/generalist.py --help ;;
        speed)
            limited speed 460 python book/experiments/speed.py
            cp book/results/speed.json "$into/"
            ;;
        generalist) limited generalist 300 python book/experiments/generalist.py "$into/generalist" ;;
    esac
done
