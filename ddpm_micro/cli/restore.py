"""``ddpm-micro restore``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ddpm_micro.choices import LEVELS, SAMPLERS
from ddpm_micro.cli.options import default_of, in_one_line, model_and_samples, number, overwrite, told_once
from ddpm_micro.cli.restoring import Restorer
from ddpm_micro.files import images, is_ngff, state

HELP = "restore a TIFF or a folder of them: writes the mean of K samples, and their standard deviation as OUT.std.tif"
ENDINGS = (".tif", ".tiff", ".zarr")


def add_options(to: argparse.ArgumentParser) -> None:
    text = "an image or stack with any of time, depth and channels, a TIFF or an OME-Zarr; or a folder of them"
    to.add_argument("input", type=Path, metavar="IN", help=text)
    text = "OUT.tif or OUT.ome.zarr, float32, with grey levels, axes, channels and scale of IN; a folder if IN is one"
    to.add_argument("output", type=Path, metavar="OUT", help=text)
    text = ", an even number; four opposite pairs have the best mean for their time, and eight samples tell the spread"
    model_and_samples(to, 8, text)  # as the shipped models are calibrated
    text = "write the network's one answer, the mean it estimates at once: the fastest way, without a deviation; "
    to.add_argument("--one-call", action="store_true", help=text + "models trained as care or n2v always do this")
    number(to, "--channel", int, None, "restore this channel alone, counted from 1; if not given, all of them")
    to.add_argument(
        "--sampler", choices=SAMPLERS, default=default_of("restore", "restore", "sampler"), help="sampling method"
    )
    steps = {name: default_of("samplers", f"sample_{name}", "steps") or "all" for name in SAMPLERS}
    text = "network calls per sample; if not given, " + ", ".join(f"{n} for {name}" for name, n in steps.items())
    number(to, "--steps", int, None, text)
    text = "draw samples in pairs from opposite noise: the mean of 2 is about as good as the mean of dozens"
    to.add_argument("--antithetic", action=argparse.BooleanOptionalAction, default=True, help=text)
    number(to, "--seed", int, 0, "start of the random numbers; the same seed gives the same samples")
    text = f"side in pixels of the windows the network sees; if not given, {default_of('model', 'AUTO_TILE')}"
    number(to, "--tile", int, None, text)
    text = (
        "bits of the network's numbers; auto: bfloat16 where this device is faster with it, which is told, else float32"
    )
    to.add_argument("--precision", choices=("auto", "float32"), default="auto", help=text)
    text = "write OUT.lower.tif and OUT.upper.tif, which hold so many per cent of the truth (calibrated models only)"
    to.add_argument("--interval", type=int, choices=LEVELS, help=text)
    text = "write OUT.residual.tif, what was removed in units of its noise, and tell the residual check of every plane"
    to.add_argument("--residual", action="store_true", help=text)
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Restore a file, or each file of a folder, where a bad one costs only itself."""
    source, target, restorer = arguments.input, arguments.output, Restorer(arguments)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder; check the name")
    one, image = is_ngff(source) or not source.is_dir(), target.suffix.lower() in ENDINGS
    if one != image:
        expected = "an output that ends in .tif or .ome.zarr" if one else "a folder for the results"
        raise ValueError(f"expected {expected}, got {target.name}")
    if one:
        with told_once(set()):
            restorer.restore(source, target)
    else:
        _restore_all(restorer, source, target)


def _restore_all(restorer: Restorer, source: Path, target: Path) -> None:
    """Restore each file of a folder into the folder ``target``; what went wrong is told at the end."""
    paths, faults, told = images(source), [], set()
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        raise ValueError(f"expected another folder for the results, got {target}")
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        output = target / (path.name if path.suffix.lower() in ENDINGS else path.name + ".tif")
        if state(output) == "whole" and not restorer.arguments.overwrite:
            restorer.say(f"{output}: is there already")
            continue
        try:
            with told_once(told):
                restorer.restore(path, output)
        except (ValueError, OSError) as error:
            fault = in_one_line(error)
            faults.append(fault if path.name in fault else f"{path}: {fault}")
    for fault in faults:
        restorer.say(f"ddpm-micro: {fault}", sys.stderr)
    if faults:
        raise ValueError(f"{len(faults)} of {len(paths)} files could not be restored")
