"""The command line: ``ddpm-micro restore | train | evaluate | simulate | fetch | info``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from accelerate import PartialState

import ddpm_micro
from ddpm_micro import datasets, evaluate, simulate, tiff
from ddpm_micro.atomic import atomic_write
from ddpm_micro.checkpoint import load_model, shipped_models
from ddpm_micro.data import PairedPatches, read_pairs
from ddpm_micro.device import choose_device, choose_precision
from ddpm_micro.restore import restore
from ddpm_micro.samplers import SAMPLERS
from ddpm_micro.schedule import PREDICTIONS
from ddpm_micro.train import TrainConfig, fit
from ddpm_micro.unet import UNetConfig

DATA_HELP = (
    f"one of {', '.join(simulate.NAMES)}, mixture (simulated), "
    "or a folder with low/NAME.tif and high/NAME.tif of the same fields"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        named = isinstance(error, OSError) and error.strerror and error.filename
        message = f"{error.strerror}: {error.filename}" if named else str(error)
        print(f"ddpm-micro: {' '.join(message.split())}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:  # torch has no one class for memory on all devices
        if isinstance(error, RuntimeError) and not re.search("out of memory|allocate memory", str(error)):
            raise
        print("ddpm-micro: out of memory; try a smaller --tile, --patch or --batch-size", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"ddpm-micro: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _restore(arguments: argparse.Namespace) -> None:
    output, std_output = arguments.output, arguments.output.with_suffix(".std" + arguments.output.suffix)
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"expected an output that ends in .tif, got {output.name}")
    for path in (output, std_output):  # an old deviation must not stay beside a new mean
        _check_output(path, arguments.overwrite)
    micrograph = tiff.read(arguments.input)
    channels = 2 if arguments.two_channels and arguments.samples > 1 else 1
    if 4 * channels * micrograph.image.size > tiff.IMAGEJ_LIMIT:
        raise ValueError(f"expected an image whose result has less than 4 GB, got {micrograph.image.shape}; split it")
    model = load_model(arguments.model)
    restoration = restore(
        model,
        micrograph.image,
        samples=arguments.samples,
        sampler=arguments.sampler,
        steps=arguments.steps,
        seed=arguments.seed,
        tile=arguments.tile,
        progress=sys.stderr.isatty(),
    )
    scale = {name: getattr(micrograph, name) for name in ("pixel_size_nm", "z_step_nm", "frame_interval_s")}
    mean, std = restoration.mean, restoration.std
    if channels == 2:
        axes = micrograph.axes[:-2] + "CYX"
        both = np.stack([mean, std], axis=-3)
        tiff.write(output, both, axes=axes, channel_names=("mean", "std"), overwrite=arguments.overwrite, **scale)
        print(f"{output}: mean and standard deviation of {arguments.samples} samples, as two channels")
    elif arguments.samples == 1:
        tiff.write(output, mean, axes=micrograph.axes, overwrite=arguments.overwrite, **scale)
        print(f"{output}: one sample")
    else:
        # Both are written before either appears, so that a full disk leaves no mean without its deviation.
        with (
            atomic_write(std_output, overwrite=arguments.overwrite) as std_file,
            atomic_write(output, overwrite=arguments.overwrite) as mean_file,
        ):
            tiff.write(std_file, std, axes=micrograph.axes, overwrite=True, **scale)
            tiff.write(mean_file, mean, axes=micrograph.axes, overwrite=True, **scale)
        print(f"{output}: mean of {arguments.samples} samples\n{std_output}: their standard deviation")
        return
    std_output.unlink(missing_ok=True)  # of an earlier result: it would not belong to this one


def _train(arguments: argparse.Namespace) -> None:
    unet = {"micro": UNetConfig.micro, "paper": UNetConfig.paper}[arguments.unet]()
    config = TrainConfig(
        steps=arguments.steps, batch_size=arguments.batch_size, patch=arguments.patch, lr=arguments.lr,
        prediction=arguments.prediction, seed=arguments.seed, unet=unet,
    )  # fmt: skip
    if arguments.data in (*simulate.NAMES, "mixture"):
        train, val = (
            (pairs.low, pairs.high) for pairs in (simulate.split(arguments.data, part) for part in ("train", "val"))
        )
        data = f'simulate.split("{arguments.data}", "train")'
    else:
        low, high, files = read_pairs(arguments.data)
        if len(low) < 2:
            raise ValueError(
                f"expected at least 2 pairs of planes in {arguments.data}, one of them for validation, got {len(low)}"
            )
        held_out = max(1, len(low) // 10)
        if len(set(files)) > 1:  # whole files: neighbouring planes of a stack are nearly one image
            held_out = len(files) - files.index(files[-held_out])
        train, val = (low[:-held_out], high[:-held_out]), (low[-held_out:], high[-held_out:])
        data = f"{len(low) - held_out} pairs of planes, the last {held_out} held out for validation"
    fit(config, PairedPatches(*train, config.patch), PairedPatches(*val, config.patch), arguments.output, data=data)
    if PartialState().is_main_process:
        print(f"{arguments.output / 'model.safetensors'}: the model; use it with --model")


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.json:
        _check_output(arguments.json, arguments.overwrite)
    data_range, titles = None, None
    if arguments.data == "fmd":
        scenes = datasets.load("fmd").scenes
        low, high = [scene.raw[0] for scene in scenes], [scene.truth for scene in scenes]
        data_range, titles = 255.0, [scene.name for scene in scenes]
    elif arguments.data in (*simulate.NAMES, "mixture"):
        pairs = simulate.split(arguments.data, "test")
        low, high = pairs.low, pairs.high
    else:
        low, high, _ = read_pairs(arguments.data)
    if arguments.images is not None:
        if arguments.images < 1:
            raise ValueError(f"expected --images >= 1, got {arguments.images}")
        low, high = low[: arguments.images], high[: arguments.images]
    records = evaluate.evaluate(
        load_model(arguments.model),
        arguments.data,
        low,
        high,
        data_range=data_range,
        samples=arguments.samples,
        steps=arguments.steps,
    )
    for number, title in enumerate(titles or []):
        print(f"{number:>8}  {title}")
    print("PSNR in dB")
    print(evaluate.table(records))
    if arguments.json:
        with atomic_write(arguments.json, overwrite=arguments.overwrite) as temporary:
            temporary.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


def _simulate(arguments: argparse.Namespace) -> None:
    pairs = simulate.make_pairs(arguments.name, arguments.pairs, size=arguments.size, seed=arguments.seed)
    for side in ("low", "high"):
        (arguments.output / side).mkdir(parents=True, exist_ok=True)
        for number, (image, pixel_size_nm) in enumerate(zip(getattr(pairs, side), pairs.pixel_size_nm, strict=True)):
            path = arguments.output / side / f"{arguments.name}_{number:04d}.tif"
            tiff.write(path, image, axes="YX", pixel_size_nm=float(pixel_size_nm), overwrite=arguments.overwrite)
    print(f"{arguments.output}: low/ and high/, {len(pairs)} image{'s' * (len(pairs) > 1)} each")


def _fetch(arguments: argparse.Namespace) -> None:
    folder = datasets.fetch(arguments.name, progress=sys.stderr.isatty())
    print(f"{folder}: {len(datasets.load(arguments.name).scenes)} scenes")


def _info(arguments: argparse.Namespace) -> None:
    if arguments.model:
        model = load_model(arguments.model)
        parameters = sum(p.numel() for p in model.parameters())
        print(
            json.dumps(
                {
                    "parameters": parameters,
                    "prediction": model.prediction,
                    "schedule": model.schedule.config,
                    **model.info,
                },
                indent=1,
            )
        )
        return
    device, why = choose_device()
    precision, reason = choose_precision(device)
    print(f"ddpm-micro {ddpm_micro.__version__}")
    print(f"device     {device} ({why})")
    print(f"training   {precision} ({reason})")
    print(f"models     {', '.join(shipped_models()) or 'none'}")


def _check_output(path: Path, overwrite: bool) -> None:
    """Complain before the work and not after it."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name or pass --overwrite")
    if not path.parent.is_dir():
        raise ValueError(f"expected an existing folder to write to, got {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"cannot write to {path.parent}; choose another folder")


class _Parser(argparse.ArgumentParser):
    """Tells a wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"ddpm-micro: {message}; see {self.prog} --help\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but for those that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ddpm-micro", description="Restore micrographs with a denoising diffusion model.")
    parser.add_argument("--version", action="version", version=f"ddpm-micro {ddpm_micro.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
        added.set_defaults(run=run)
        return added

    def number(of: argparse.ArgumentParser, flag: str, kind: type, default: float | None, text: str) -> None:
        of.add_argument(flag, type=kind, default=default, metavar="N" if kind is int else "X", help=text)

    sub = command(
        "restore",
        _restore,
        "restore a TIFF: writes the mean of K samples, and their standard deviation beside it as OUT.std.tif",
    )
    sub.add_argument("input", type=Path, metavar="IN.tif", help="one channel: an image or a stack")
    sub.add_argument(
        "output", type=Path, metavar="OUT.tif", help="float32 in the grey levels and with the pixel size of IN"
    )
    sub.add_argument(
        "--model", default="generalist", metavar="NAME|FILE", help="a shipped model or a .safetensors file"
    )
    sub.add_argument("--samples", type=int, default=15, metavar="K", help="samples to average")
    sub.add_argument("--sampler", choices=SAMPLERS, default="dpmpp_2m", help="sampling method")
    number(
        sub, "--steps", int, None, "network calls per sample; if not given, 10 for dpmpp_2m, 20 for ddim, all for ddpm"
    )
    number(sub, "--seed", int, 0, "the same seed gives the same samples")
    number(sub, "--tile", int, None, "side in pixels of the windows the network sees; if not given, 192")
    sub.add_argument(
        "--two-channels", action="store_true", help="write mean and standard deviation as two channels of OUT.tif"
    )
    _overwrite(sub)

    defaults = TrainConfig()
    sub = command("train", _train, "train a model, or go on with a run that was stopped")
    sub.add_argument("data", metavar="DATA", help=DATA_HELP)
    sub.add_argument(
        "output", type=Path, metavar="FOLDER", help="takes model.safetensors, model.json, log.jsonl and last.pt"
    )
    number(sub, "--steps", int, defaults.steps, "optimiser steps")
    number(sub, "--batch-size", int, defaults.batch_size, "patches per step")
    number(sub, "--patch", int, defaults.patch, "side of a patch in pixels")
    number(sub, "--lr", float, defaults.lr, "peak learning rate")
    number(sub, "--seed", int, defaults.seed, "of all random numbers")
    sub.add_argument(
        "--prediction",
        choices=PREDICTIONS,
        default=defaults.prediction,
        help="what the network predicts: the noise (eps), the clean image (x0), or v, a mixture of both",
    )
    sub.add_argument(
        "--unet",
        choices=("micro", "paper"),
        default="micro",
        help="micro: under 1 million parameters, for a CPU; paper: 64 million, for a GPU",
    )

    sub = command("evaluate", _evaluate, "compare a model with the raw image and the best Gaussian filter on pairs")
    sub.add_argument("data", metavar="DATA", help=f"fmd (real images), {DATA_HELP}")
    sub.add_argument(
        "--model", default="generalist", metavar="NAME|FILE", help="a shipped model or a .safetensors file"
    )
    sub.add_argument("--samples", type=int, default=15, metavar="K", help="samples to average")
    number(sub, "--steps", int, None, "network calls per sample; if not given, 10")
    number(sub, "--images", int, None, "only the first N images")
    sub.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all metrics here")
    _overwrite(sub)

    sub = command("simulate", _simulate, "write simulated pairs as TIFF, low/ and high/")
    sub.add_argument("name", metavar="NAME", help=", ".join((*simulate.NAMES, "mixture")))
    sub.add_argument("output", type=Path, metavar="FOLDER", help="takes low/ and high/")
    number(sub, "--pairs", int, 8, "how many")
    number(sub, "--size", int, 128, "side in pixels")
    number(sub, "--seed", int, 0, "of all random numbers")
    _overwrite(sub)

    sub = command("fetch", _fetch, "download a real data set, or find it where DDPM_MICRO_DATA points")
    sub.add_argument(
        "name",
        choices=("fmd",),
        help="fmd: confocal, two-photon and wide-field scenes, single noisy frames and means of 50",
    )

    sub = command("info", _info, "device, precision and models here; or how a model was made")
    sub.add_argument("model", nargs="?", metavar="NAME|FILE", help="a shipped model or a .safetensors file")
    return parser


def _overwrite(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--overwrite", action="store_true", help="replace files that exist")


if __name__ == "__main__":
    sys.exit(main())
