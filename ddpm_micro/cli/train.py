"""``ddpm-micro train``."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

from ddpm_micro.choices import METHODS, PREDICTIONS, SETS
from ddpm_micro.cli.check import matched_pairs
from ddpm_micro.cli.options import DATA_HELP, check_data, default_of, number

HELP = "train a model, or go on with a run that was stopped"
FINE_TUNING = 0.01  # peak learning rate with --start, measured by book/experiments/fine_tuning.py


def add_options(to: argparse.ArgumentParser) -> None:
    default = partial(default_of, "train", "TrainConfig")
    to.add_argument("data", metavar="DATA", help=DATA_HELP)
    text = "takes model.safetensors, model.json, log.jsonl and last.pt"
    to.add_argument("output", type=Path, metavar="FOLDER", help=text)
    number(to, "--steps", int, default("steps"), "optimiser steps")
    number(to, "--batch-size", int, default("batch_size"), "patches per step")
    number(to, "--patch", int, default("patch"), "side of a patch in pixels")
    number(to, "--lr", float, None, f"peak learning rate (default: {default('lr')}, with --start {FINE_TUNING})")
    number(to, "--seed", int, default("seed"), "start of the random numbers; the same seed gives the same training")
    text = "ddpm, or a rival with the same network: care (regression) or n2v (Noise2Void, which trains on low/ alone)"
    to.add_argument("--method", choices=METHODS, default=default("method"), help=text)
    text = "what the network predicts: the noise (eps), the clean image (x0), or v, a mixture of both"
    to.add_argument("--prediction", choices=PREDICTIONS, default=default("prediction"), help=text)
    text = "begin with the weights of a shipped model, a .safetensors file or a run's folder (fine-tuning)"
    to.add_argument("--start", default=None, metavar="NAME|FILE|FOLDER", help=text)
    text = "micro: under 1 million parameters, for a CPU; paper: 62 million, for a GPU"
    to.add_argument("--unet", choices=("micro", "paper"), default="micro", help=text)


def run(arguments: argparse.Namespace) -> None:
    """Train on a simulated set or on a folder of pairs."""
    check_data(arguments.data)
    if arguments.output.exists() and not arguments.output.is_dir():
        raise ValueError(f"expected a folder for the trained model, got the file {arguments.output}")
    from accelerate import PartialState

    from ddpm_micro import simulate
    from ddpm_micro.checkpoint import load_model
    from ddpm_micro.data import PairedPatches
    from ddpm_micro.train import TrainConfig, fit
    from ddpm_micro.unet import UNetConfig

    unet = {"micro": UNetConfig.micro, "paper": UNetConfig.paper}[arguments.unet]()
    lr = arguments.lr if arguments.lr is not None else FINE_TUNING if arguments.start else TrainConfig.lr
    config = TrainConfig(
        steps=arguments.steps, batch_size=arguments.batch_size, patch=arguments.patch, lr=lr,
        method=arguments.method, prediction=arguments.prediction, seed=arguments.seed, unet=unet,
    )  # fmt: skip
    if arguments.data in SETS:
        parts = (simulate.split(arguments.data, part) for part in ("train", "val"))
        train, val = ((pairs.low, pairs.high) for pairs in parts)
        data = f'simulate.split("{arguments.data}", "train")'
    else:
        tell = os.environ.get("RANK", "0") == "0"  # one process speaks for all
        pairs, brightness = matched_pairs(arguments.data, low_only=arguments.method == "n2v", tell=tell)
        if brightness is None and arguments.method != "n2v":
            raise ValueError(f"expected pairs that match, see ddpm-micro check {arguments.data}")
        parts = pairs.hold_out()
        train, val = ((part.low, part.high) for part in parts)
        data = {"pairs": len(parts[0]), "held_out": len(parts[1]), "left_out": pairs.left_out}
        if brightness and brightness.needed:
            data |= {"gain": brightness.gain, "offset": brightness.offset}
    start = load_model(arguments.start) if arguments.start else None
    patches, val_patches = (PairedPatches(*part, config.patch) for part in (train, val))
    fit(config, patches, val_patches, arguments.output, start=start, data=data)
    if PartialState().is_main_process:
        print(f"{arguments.output}: the trained model; use it with --model {arguments.output}")
