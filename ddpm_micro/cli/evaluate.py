"""``ddpm-micro evaluate``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ddpm_micro.choices import SETS
from ddpm_micro.cli.options import DATA_HELP, check_data, check_output, model_and_samples, number, overwrite

HELP = "compare a model with the raw image and the best Gaussian filter on pairs"


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("data", metavar="DATA", help=f"fmd (real images), {DATA_HELP}")
    model_and_samples(to)
    number(to, "--steps", int, None, "network calls per sample; if not given, the sampler's own number")
    number(to, "--images", int, None, "only the first N images")
    to.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all metrics here")
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Print a table of PSNR, and write all metrics as JSON if asked."""
    if arguments.data != "fmd":
        check_data(arguments.data)
    if arguments.json:
        check_output(arguments.json, arguments.overwrite)
    from ddpm_micro import datasets, simulate
    from ddpm_micro.data import read_pairs
    from ddpm_micro.files.atomic import atomic_write

    data_range, titles = None, None
    if arguments.data == "fmd":
        scenes = datasets.load("fmd").scenes
        low, high = [scene.raw[0] for scene in scenes], [scene.truth for scene in scenes]
        data_range, titles = 255.0, [scene.name for scene in scenes]
    elif arguments.data in SETS:
        pairs = simulate.split(arguments.data, "test")
        low, high = pairs.low, pairs.high
    else:
        low, high, _ = read_pairs(arguments.data)
    if arguments.images is not None:
        if arguments.images < 1:
            raise ValueError(f"expected --images >= 1, got {arguments.images}")
        low, high = low[: arguments.images], high[: arguments.images]

    from ddpm_micro import evaluate
    from ddpm_micro.checkpoint import load_model

    model = load_model(arguments.model)
    options = {"data_range": data_range, "samples": arguments.samples, "steps": arguments.steps}
    records = evaluate.evaluate(model, arguments.data, low, high, **options)
    for row, title in enumerate(titles or []):
        print(f"{row:>8}  {title}")
    print("PSNR in dB")
    print(evaluate.table(records))
    if arguments.json:
        with atomic_write(arguments.json, overwrite=arguments.overwrite) as temporary:
            temporary.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
