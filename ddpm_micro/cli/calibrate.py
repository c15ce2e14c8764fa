"""``ddpm-micro calibrate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ddpm_micro.cli.check import matched_pairs
from ddpm_micro.cli.options import model, overwrite

HELP = "make the spread of a model's samples an error bar, by fields of your own whose truth is known"
PIXELS = 2**16  # most pixels of a field that are looked at: a field errs as a whole, so more tell little


def add_options(to: argparse.ArgumentParser) -> None:
    text = "low/NAME.tif and high/NAME.tif of the same fields; or NAME.tif, each a stack of frames of one field"
    to.add_argument("data", type=Path, metavar="FOLDER", help=text)
    model(to)
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Restore fields whose truth is known, and write into the model's sidecar what that teaches."""
    import hashlib

    import numpy as np
    from tqdm import tqdm

    from ddpm_micro import residual
    from ddpm_micro.calibrate import calibrate
    from ddpm_micro.checkpoint import find_model, load_model, save_model
    from ddpm_micro.restore import restore

    path = find_model(arguments.model)
    network = load_model(path)
    if network.calibration and not arguments.overwrite:
        raise FileExistsError(f"{path} is calibrated; copy the model to a folder of your own, or pass --overwrite")
    fields = list(pairs(arguments.data) if (arguments.data / "low").is_dir() else frames(arguments.data))
    digest, pixels, planes = hashlib.sha256(), [], []
    for seed, field in enumerate(tqdm(fields, disable=not sys.stderr.isatty(), unit="field")):
        parts = []
        for low, truth, noise in field:
            digest.update(low.tobytes() + truth.tobytes())
            restored = restore(network, low, samples=8, antithetic=True, seed=seed, progress=False)
            scaling = network.percentiles.fit(low)
            planes.append([scaling.apply(image) for image in (low, restored.mean, truth)])
            spread, noise = restored.std / scaling.scale, np.broadcast_to(noise / scaling.scale**2, low.shape)
            parts.append(np.reshape([*planes[-1][:0:-1], spread, noise], (4, -1)))
        pixels.append(np.concatenate(parts, axis=1))
    count = min(PIXELS, *(field.shape[1] for field in pixels))
    some = [field[:, np.linspace(0, field.shape[1] - 1, count).astype(int)] for field in pixels]
    about = {"settings": restored.settings, "data": f"{len(fields)} fields of {arguments.data}"}
    about |= {"data_sha256": digest.hexdigest(), "weights_sha256": network.fingerprint()}
    found = network.calibration = calibrate(*np.stack(some, axis=1), **about)
    check = network.residual_check = residual.fit(planes)
    save_model(network, path)
    told = "fitted on {curve} fields (from spread to error) and {factors} others (intervals), checked on {check} others"
    print(told.format(**found.fields))
    for level, factor in found.factors.items():
        held = (100 * number for when in (found.before, found.after) for number in when[level])
        shares = "{:.1f} ± {:.1f} % of the truth before, {:.1f} ± {:.1f} % after".format(*held)
        print(f"intervals of {level} %: " + (f"hold {shares}" if factor else "too few fields to give them"))
    print(f"residual check: alarm above {check.threshold:.2f}" if check else "no residual check: it takes 100 windows")


def pairs(folder: Path) -> Iterator[list[tuple]]:
    """The frame, truth and noise of the truth of each plane of a file, file by file."""
    found, brightness = matched_pairs(folder, low_only=False, tell=True)
    if brightness is None:
        raise ValueError(f"expected pairs that match, see ddpm-micro check {folder}")
    for file in dict.fromkeys(found.files):  # planes of one stack are no independent fields
        yield [(a, b, 0.0) for a, b, name in zip(found.low, found.high, found.files, strict=True) if name == file]


def frames(folder: Path) -> Iterator[list[tuple]]:
    """The same from repeated frames: the mean of all but the first stands for the truth."""
    from scipy.ndimage import gaussian_filter

    from ddpm_micro.files import images, read

    for file in images(folder):
        stack = read(file).image.astype("float32")
        if stack.ndim != 3 or len(stack) < 4:
            raise ValueError(f"expected 4 or more frames of one field in {file}, got shape {stack.shape}")
        others = stack[1:]
        noise = gaussian_filter(others.var(axis=0, ddof=1), 3) / len(others)  # smooth: few frames tell it roughly
        yield [(stack[0], others.mean(axis=0), noise)]
