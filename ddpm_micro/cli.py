"""The command line: ``ddpm-micro restore | train | evaluate | simulate | fetch | info``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import ddpm_micro
from ddpm_micro import commands, simulate
from ddpm_micro.model import METHODS
from ddpm_micro.samplers import SAMPLERS
from ddpm_micro.schedule import PREDICTIONS
from ddpm_micro.train import TrainConfig

DATA_HELP = (
    f"one of {', '.join(simulate.SETS)} (simulated), or a folder with low/NAME.tif and high/NAME.tif of the same fields"
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
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=text, description=text, formatter_class=_Help)
        added.set_defaults(run=run)
        return added

    def number(of: argparse.ArgumentParser, flag: str, kind: type, default: float | None, text: str) -> None:
        of.add_argument(flag, type=kind, default=default, metavar="N" if kind is int else "X", help=text)

    sub = command(
        "restore",
        commands.restore_file,
        "restore a TIFF: writes the mean of K samples, and their standard deviation beside it as OUT.std.tif",
    )
    sub.add_argument("input", type=Path, metavar="IN.tif", help="one channel: an image or a stack")
    sub.add_argument(
        "output", type=Path, metavar="OUT.tif", help="float32 in the grey levels and with the pixel size of IN"
    )
    _model_and_samples(sub)
    sub.add_argument("--sampler", choices=SAMPLERS, default="dpmpp_2m", help="sampling method")
    number(
        sub, "--steps", int, None, "network calls per sample; if not given, 10 for dpmpp_2m, 20 for ddim, all for ddpm"
    )
    sub.add_argument(
        "--antithetic",
        action="store_true",
        help="draw samples in pairs from opposite noise: the mean of 2 is about as good as that of dozens",
    )
    number(sub, "--seed", int, 0, "the same seed gives the same samples")
    number(sub, "--tile", int, None, "side in pixels of the windows the network sees; if not given, 192")
    sub.add_argument(
        "--two-channels", action="store_true", help="write mean and standard deviation as two channels of OUT.tif"
    )
    _overwrite(sub)

    defaults = TrainConfig()
    sub = command("train", commands.train_model, "train a model, or go on with a run that was stopped")
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
        "--method",
        choices=METHODS,
        default=defaults.method,
        help="ddpm, or a rival with the same network: care (regression) or n2v (Noise2Void, which uses low/ alone "
        "but for validation)",
    )
    sub.add_argument(
        "--prediction",
        choices=PREDICTIONS,
        default=defaults.prediction,
        help="what the network predicts: the noise (eps), the clean image (x0), or v, a mixture of both",
    )
    sub.add_argument(
        "--start",
        default=None,
        metavar="NAME|FILE",
        help="begin with the weights of a shipped model or a .safetensors file (fine-tuning)",
    )
    sub.add_argument(
        "--unet",
        choices=("micro", "paper"),
        default="micro",
        help="micro: under 1 million parameters, for a CPU; paper: 64 million, for a GPU",
    )

    sub = command(
        "evaluate", commands.evaluate_model, "compare a model with the raw image and the best Gaussian filter on pairs"
    )
    sub.add_argument("data", metavar="DATA", help=f"fmd (real images), {DATA_HELP}")
    _model_and_samples(sub)
    number(sub, "--steps", int, None, "network calls per sample; if not given 10")
    number(sub, "--images", int, None, "only the first N images")
    sub.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all metrics here")
    _overwrite(sub)

    sub = command("simulate", commands.simulate_pairs, "write simulated pairs as TIFF, low/ and high/")
    sub.add_argument("name", metavar="NAME", help=", ".join(simulate.SETS))
    sub.add_argument("output", type=Path, metavar="FOLDER", help="takes low/ and high/")
    number(sub, "--pairs", int, 8, "how many")
    number(sub, "--size", int, 128, "side in pixels")
    number(sub, "--seed", int, 0, "of all random numbers")
    _overwrite(sub)

    sub = command("fetch", commands.fetch_data, "download a real data set, or find it where DDPM_MICRO_DATA points")
    sub.add_argument(
        "name",
        choices=("fmd",),
        help="fmd: confocal, two-photon and wide-field scenes, single noisy frames and means of 50",
    )

    sub = command("info", commands.show_info, "device, precision and models here; or how a model was made")
    sub.add_argument("model", nargs="?", metavar="NAME|FILE", help="a shipped model or a .safetensors file")
    return parser


def _model_and_samples(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--model", default="generalist", metavar="NAME|FILE", help="a shipped model or a .safetensors file"
    )
    sub.add_argument("--samples", type=int, default=15, metavar="K", help="samples to average")


def _overwrite(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--overwrite", action="store_true", help="replace files that exist")


if __name__ == "__main__":
    sys.exit(main())
