"""``ddpm-micro restore``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_micro.choices import SAMPLERS
from ddpm_micro.cli.options import check_output, model_and_samples, number, overwrite

if TYPE_CHECKING:
    import numpy as np

HELP = "restore a TIFF: writes the mean of K samples, and their standard deviation beside it as OUT.std.tif"


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
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Restore a TIFF; the mean and its standard deviation appear together or not at all."""
    output, std_output = arguments.output, arguments.output.with_suffix(".std" + arguments.output.suffix)
    if not arguments.input.exists():
        raise FileNotFoundError(f"{arguments.input}: no such TIFF file; check the name")
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"expected an output that ends in .tif, got {output.name}")
    for path in (output, std_output):  # an old deviation must not stay beside a new mean
        check_output(path, arguments.overwrite)
    import numpy as np

    from ddpm_micro.files import tiff
    from ddpm_micro.files.atomic import atomic_write

    micrograph = tiff.read(arguments.input)
    channels = 2 if arguments.two_channels else 1
    if 4 * channels * micrograph.image.size > tiff.IMAGEJ_LIMIT:
        raise ValueError(f"expected an image whose result has less than 4 GB, got {micrograph.image.shape}; split it")
    what, mean, std = restored(arguments, micrograph.image)
    scale = {name: getattr(micrograph, name) for name in ("pixel_size_nm", "z_step_nm", "frame_interval_s")}
    options = {"axes": micrograph.axes, "overwrite": arguments.overwrite, **scale}
    if std is None:
        tiff.write(output, mean, **options)
        print(f"{output}: {what}")
    elif arguments.two_channels:
        options["axes"] = micrograph.axes[:-2] + "CYX"
        tiff.write(output, np.stack([mean, std], axis=-3), channel_names=("mean", "std"), **options)
        print(f"{output}: {what} and their standard deviation, as two channels")
    else:
        # Both are written before either appears, so that a full disk leaves no mean without its deviation.
        with (
            atomic_write(std_output, overwrite=arguments.overwrite) as std_file,
            atomic_write(output, overwrite=arguments.overwrite) as mean_file,
        ):
            for file, image in ((std_file, std), (mean_file, mean)):
                tiff.write(file, image, **options | {"overwrite": True})
        print(f"{output}: {what}\n{std_output}: their standard deviation")
        return
    std_output.unlink(missing_ok=True)  # of an earlier result: it would not belong to this one


def restored(arguments: argparse.Namespace, image: np.ndarray) -> tuple[str, np.ndarray, np.ndarray | None]:
    """What came of an image: a name for it, the estimate, and the standard deviation of its samples."""
    from ddpm_micro.checkpoint import load_model
    from ddpm_micro.restore import restore

    model = load_model(arguments.model)
    if arguments.one_call or model.method != "ddpm":
        mean = model.posterior_mean(image, seed=arguments.seed, tile=arguments.tile)
        return f"the answer of a {model.method} network, asked once", mean, None
    restoration = restore(
        model,
        image,
        samples=arguments.samples,
        sampler=arguments.sampler,
        steps=arguments.steps,
        seed=arguments.seed,
        tile=arguments.tile,
        progress=sys.stderr.isatty(),
        antithetic=arguments.antithetic,
    )
    if arguments.samples == 1:
        return "one sample", restoration.mean, None
    return f"mean of {arguments.samples} samples", restoration.mean, restoration.std
