"""``ddpm-micro evaluate``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_micro.choices import SETS
from ddpm_micro.cli.check import matched_pairs
from ddpm_micro.cli.options import DATA_HELP, check_data, check_output, model_and_samples, number, overwrite, told_once

if TYPE_CHECKING:
    import numpy as np

    from ddpm_micro.files.matching import Brightness
    from ddpm_micro.files.pairs import PairedPlanes

HELP = "compare a model with the raw image and the best Gaussian filter on pairs"


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("data", metavar="DATA", help=f"fmd (real images), {DATA_HELP}")
    model_and_samples(to)
    number(to, "--steps", int, None, "network calls per sample; if not given, the sampler's own number")
    number(to, "--images", int, None, "only the first N images")
    text = (
        "grey levels from black to white, for PSNR and MS-SSIM; if not given, those that the truth of each image spans"
    )
    number(to, "--data-range", float, None, text)
    to.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all metrics here")
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Print a table of PSNR, and write all metrics as JSON if asked."""
    if arguments.data != "fmd":
        check_data(arguments.data)
    if arguments.json:
        check_output(arguments.json, arguments.overwrite)
    import numpy as np

    from ddpm_micro import datasets, simulate
    from ddpm_micro.arguments import checked_positive
    from ddpm_micro.files.atomic import atomic_write

    data_range, titles = arguments.data_range, None
    if data_range is not None:
        checked_positive(data_range, "--data-range")
    if arguments.images is not None and arguments.images < 1:
        raise ValueError(f"expected --images >= 1, got {arguments.images}")
    if arguments.data == "fmd":
        scenes = datasets.load("fmd").scenes
        low, high = [scene.raw[0] for scene in scenes], [scene.truth for scene in scenes]
        data_range, titles = data_range or 255.0, [scene.name for scene in scenes]
    elif arguments.data in SETS:
        pairs = simulate.split(arguments.data, "test")
        low, high = pairs.low, pairs.high
    else:
        pairs, brightness = matched_pairs(arguments.data, low_only=False, tell=True)
        low, high = _without_faults(pairs)
    low, high = low[: arguments.images], high[: arguments.images]

    from ddpm_micro import evaluate
    from ddpm_micro.checkpoint import load_model

    model = load_model(arguments.model)
    if arguments.data != "fmd" and arguments.data not in SETS:
        _tell(brightness, model.info.get("data"))
    options = {"data_range": data_range, "samples": arguments.samples, "steps": arguments.steps}
    options["progress"] = sys.stderr.isatty()  # in a notebook or a log a bar would stand still
    with told_once(set()):
        records = evaluate.evaluate(model, arguments.data, low, high, **options)
    for row, title in enumerate(titles or []):
        print(f"{row:>8}  {title}")
    spans = [data_range] if data_range else sorted(float(np.ptp(truth)) for truth in high)
    print(f"PSNR in dB, for a data range of {spans[0]:.4g}" + f" to {spans[-1]:.4g}" * (spans[0] < spans[-1]))
    print(evaluate.table(records))
    if arguments.json:
        with atomic_write(arguments.json, overwrite=arguments.overwrite) as temporary:
            temporary.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


def _without_faults(pairs: PairedPlanes) -> list[list[np.ndarray]]:
    """The low and the high images with neighbours in place of faulty pixels, one of which could decide a measure."""
    from ddpm_micro.intensity import faulty_pixels, repaired

    sides = [[(image, faulty_pixels(image)) for image in side] for side in (pairs.low, pairs.high)]
    count = sum(int(faulty.sum()) for side in sides for _, faulty in side)
    if count:
        print(f"{count} hot, dead or saturated pixels do not count: their neighbours stand for them")
    return [[repaired(*one) for one in side] for side in sides]


def _tell(brightness: Brightness | None, data: object) -> None:
    """Say where low and high differ in brightness, or where they do so otherwise than in the model's training."""
    if brightness is None:
        print("low and high are compared as they are: all errors include their difference in brightness")
    elif isinstance(data, dict):
        gain, trained = brightness.gain if brightness.needed else 1.0, data.get("gain", 1.0)
        if isinstance(trained, (int, float)) and abs(gain - trained) > 0.1 * abs(trained):
            print(f"high is {gain:.4g} times as bright as low here; where the model was trained, {trained:.4g} times")
