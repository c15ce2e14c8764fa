"""What each command of the command line does with its arguments."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from accelerate import PartialState

import ddpm_micro
from ddpm_micro import datasets, evaluate, simulate
from ddpm_micro.checkpoint import load_model, shipped_models
from ddpm_micro.data import PairedPatches, read_pairs
from ddpm_micro.device import choose_device, choose_precision
from ddpm_micro.files import tiff
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.restore import restore
from ddpm_micro.train import TrainConfig, fit
from ddpm_micro.unet import UNetConfig


def restore_file(arguments: argparse.Namespace) -> None:
    """Restore a TIFF; the mean and its standard deviation appear together or not at all."""
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
        antithetic=arguments.antithetic,
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


def train_model(arguments: argparse.Namespace) -> None:
    """Train on a simulated set or on a folder of pairs."""
    unet = {"micro": UNetConfig.micro, "paper": UNetConfig.paper}[arguments.unet]()
    config = TrainConfig(
        steps=arguments.steps, batch_size=arguments.batch_size, patch=arguments.patch, lr=arguments.lr,
        method=arguments.method, prediction=arguments.prediction, seed=arguments.seed, unet=unet,
    )  # fmt: skip
    if arguments.data in simulate.SETS:
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
    start = load_model(arguments.start) if arguments.start else None
    patches, val_patches = (PairedPatches(*part, config.patch) for part in (train, val))
    fit(config, patches, val_patches, arguments.output, start=start, data=data)
    if PartialState().is_main_process:
        print(f"{arguments.output / 'model.safetensors'}: the model; use it with --model")


def evaluate_model(arguments: argparse.Namespace) -> None:
    """Print a table of PSNR, and write all metrics as JSON if asked."""
    if arguments.json:
        _check_output(arguments.json, arguments.overwrite)
    data_range, titles = None, None
    if arguments.data == "fmd":
        scenes = datasets.load("fmd").scenes
        low, high = [scene.raw[0] for scene in scenes], [scene.truth for scene in scenes]
        data_range, titles = 255.0, [scene.name for scene in scenes]
    elif arguments.data in simulate.SETS:
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


def simulate_pairs(arguments: argparse.Namespace) -> None:
    """Write simulated pairs as TIFF."""
    pairs = simulate.make_pairs(arguments.name, arguments.pairs, size=arguments.size, seed=arguments.seed)
    for side in ("low", "high"):
        (arguments.output / side).mkdir(parents=True, exist_ok=True)
        for number, (image, pixel_size_nm) in enumerate(zip(getattr(pairs, side), pairs.pixel_size_nm, strict=True)):
            path = arguments.output / side / f"{arguments.name}_{number:04d}.tif"
            tiff.write(path, image, axes="YX", pixel_size_nm=float(pixel_size_nm), overwrite=arguments.overwrite)
    print(f"{arguments.output}: low/ and high/, {len(pairs)} image{'s' * (len(pairs) > 1)} each")


def fetch_data(arguments: argparse.Namespace) -> None:
    """Say where a data set lies, after downloading it if need be."""
    folder = datasets.fetch(arguments.name, progress=sys.stderr.isatty())
    print(f"{folder}: {len(datasets.load(arguments.name).scenes)} scenes")


def show_info(arguments: argparse.Namespace) -> None:
    """Print what this computer offers, or how a model was made."""
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
