"""``ddpm-micro restore``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_micro.choices import LEVELS, SAMPLERS
from ddpm_micro.cli.options import check_output, model_and_samples, number, overwrite

if TYPE_CHECKING:
    import numpy as np

    from ddpm_micro.model import Model

HELP = "restore a TIFF: writes the mean of K samples, and their standard deviation beside it as OUT.std.tif"
BESIDE = {  # what may be written beside OUT.tif, or is removed there if it belongs to an earlier result
    "std": "their standard deviation",
    "error": "the error to be expected",
    "lower": "lower bound of the interval",
    "upper": "upper bound of the interval",
    "residual": "what was removed, in units of its noise",
}


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("input", type=Path, metavar="IN.tif", help="one channel: an image or a stack")
    text = "float32 in the grey levels and with the pixel size of IN"
    to.add_argument("output", type=Path, metavar="OUT.tif", help=text)
    model_and_samples(to)
    text = "write the network's one answer, the mean it estimates at once: the fastest way, without a deviation; "
    to.add_argument("--one-call", action="store_true", help=text + "models trained as care or n2v always do this")
    to.add_argument("--sampler", choices=SAMPLERS, default="dpmpp_2m", help="sampling method")
    text = "network calls per sample; if not given, 10 for dpmpp_2m, 20 for ddim, all for ddpm"
    number(to, "--steps", int, None, text)
    text = "draw samples in pairs from opposite noise: the mean of 2 is about as good as the mean of dozens"
    to.add_argument("--antithetic", action="store_true", help=text)
    number(to, "--seed", int, 0, "start of the random numbers; the same seed gives the same samples")
    number(to, "--tile", int, None, "side in pixels of the windows the network sees; if not given, 192")
    text = "write mean and standard deviation as two channels of OUT.tif"
    to.add_argument("--two-channels", action="store_true", help=text)
    text = "write OUT.lower.tif and OUT.upper.tif, which hold so many per cent of the truth (calibrated models only)"
    to.add_argument("--interval", type=int, choices=LEVELS, help=text)
    text = "write OUT.residual.tif, what was removed in units of its noise, and tell the residual check of every plane"
    to.add_argument("--residual", action="store_true", help=text)
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Restore a TIFF; the files of the result appear together or not at all."""
    output = arguments.output
    paths = {name: output.with_suffix(f".{name}{output.suffix}") for name in BESIDE}
    if not arguments.input.exists():
        raise FileNotFoundError(f"{arguments.input}: no such TIFF file; check the name")
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"expected an output that ends in .tif, got {output.name}")
    for path in (output, *paths.values()):  # an old deviation must not stay beside a new mean
        check_output(path, arguments.overwrite)
    import numpy as np

    from ddpm_micro.checkpoint import load_model
    from ddpm_micro.files import tiff
    from ddpm_micro.files.atomic import atomic_write

    micrograph = tiff.read(arguments.input)
    channels = 2 if arguments.two_channels else 1
    if 4 * channels * micrograph.image.size > tiff.IMAGEJ_LIMIT:
        raise ValueError(f"expected an image whose result has less than 4 GB, got {micrograph.image.shape}; split it")
    model = load_model(arguments.model)
    what, mean, beside, note = restored(arguments, model, micrograph.image)
    checks = list(residual_lines(arguments, model, micrograph.image, mean, beside))
    scale = {name: getattr(micrograph, name) for name in ("pixel_size_nm", "z_step_nm", "frame_interval_s")}
    options = {"axes": micrograph.axes, "overwrite": True, **scale}
    if arguments.two_channels and "std" in beside:
        mean = np.stack([mean, beside.pop("std")], axis=-3)
        what += " and their standard deviation, as two channels"
        options |= {"axes": micrograph.axes[:-2] + "CYX", "channel_names": ("mean", "std")}
    with ExitStack() as files:  # all are written before one appears: a full disk leaves no mean without the rest
        for name, image in beside.items():
            file = files.enter_context(atomic_write(paths[name], overwrite=arguments.overwrite))
            tiff.write(file, image, axes=micrograph.axes, overwrite=True, **scale)
        file = files.enter_context(atomic_write(output, overwrite=arguments.overwrite))
        tiff.write(file, mean, **options)
    for name in BESIDE.keys() - beside:
        paths[name].unlink(missing_ok=True)  # of an earlier result: it would not belong to this one
    print("\n".join([f"{output}: {what}", *(f"{paths[name]}: {BESIDE[name]}" for name in beside), *note, *checks]))


def restored(
    arguments: argparse.Namespace, model: Model, image: np.ndarray
) -> tuple[str, np.ndarray, dict[str, np.ndarray], list[str]]:
    """What came of an image: a name for it, the estimate, what is to be written beside it, and what is to be said."""
    from ddpm_micro.calibrate import why_no_error
    from ddpm_micro.restore import draw_settings, restore

    if arguments.one_call or model.method != "ddpm":
        if arguments.interval:
            raise ValueError("expected samples for --interval, got one answer of the network; leave --one-call out")
        mean = model.posterior_mean(image, seed=arguments.seed, tile=arguments.tile)
        return f"the answer of a {model.method} network, asked once", mean, {}, []
    options = {name: getattr(arguments, name) for name in ("samples", "antithetic", "sampler", "steps")}
    why = why_no_error(model.calibration, draw_settings(model, **options))
    if arguments.interval:  # what cannot be had is told before any work
        if why:
            raise ValueError(f"no --interval: {why}")
        model.calibration.factor(arguments.interval)
    options |= {"seed": arguments.seed, "tile": arguments.tile, "progress": sys.stderr.isatty()}
    found = restore(model, image, **options)
    if arguments.samples == 1:
        return "one sample", found.mean, {}, []
    beside = {"std": found.std} | ({} if found.error is None else {"error": found.error})
    if arguments.interval:
        beside["lower"], beside["upper"] = found.interval(arguments.interval)
    return f"mean of {arguments.samples} samples", found.mean, beside, [f"note: {why}"] if why else []


def residual_lines(
    arguments: argparse.Namespace, model: Model, image: np.ndarray, mean: np.ndarray, beside: dict[str, np.ndarray]
) -> Iterator[str]:
    """What the residual check says of each plane, or of the worst one; with ``--residual`` it adds the map."""
    import numpy as np

    from ddpm_micro.residual import WINDOW, error_map

    stacks = [np.reshape(one, (-1, *one.shape[-2:])).astype(float) for one in (image, mean)]
    if arguments.residual:
        maps = [error_map(*planes).astype(np.float32) for planes in zip(*stacks, strict=True)]
        beside["residual"] = np.reshape(maps, image.shape)
    check = model.residual_check
    if check is None or min(image.shape[-2:]) < WINDOW:
        return
    if not check.applies:
        yield "residual check: does not apply, since this model's result is sharper than the frame"
        return
    scalings = [model.percentiles.fit(plane) for plane in stacks[0]]
    numbers = [check.number(one.apply(low), one.apply(high)) for one, low, high in zip(scalings, *stacks, strict=True)]
    for plane in range(len(numbers)) if arguments.residual else [int(np.argmax([one for one, _ in numbers]))]:
        value, sign = numbers[plane]
        alarm = f": ALARM, {sign}" if value > check.threshold else ""
        yield f"residual check: plane {plane} has {value:.2f}, alarm above {check.threshold:.2f}{alarm}"
