"""``ddpm-micro simulate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ddpm_micro.choices import SETS
from ddpm_micro.cli.options import number, overwrite

HELP = "write simulated pairs as TIFF, low/ and high/"


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("name", metavar="NAME", help=", ".join(SETS))
    to.add_argument("output", type=Path, metavar="FOLDER", help="takes low/ and high/")
    number(to, "--pairs", int, 8, "how many")
    number(to, "--size", int, 128, "side in pixels")
    number(to, "--seed", int, 0, "start of the random numbers; the same seed gives the same pairs")
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    from ddpm_micro import simulate
    from ddpm_micro.files import tiff

    pairs = simulate.make_pairs(arguments.name, arguments.pairs, size=arguments.size, seed=arguments.seed)
    for side in ("low", "high"):
        (arguments.output / side).mkdir(parents=True, exist_ok=True)
        for index, (image, pixel_size_nm) in enumerate(zip(getattr(pairs, side), pairs.pixel_size_nm, strict=True)):
            path = arguments.output / side / f"{arguments.name}_{index:04d}.tif"
            tiff.write(path, image, axes="YX", pixel_size_nm=float(pixel_size_nm), overwrite=arguments.overwrite)
    print(f"{arguments.output}: low/ and high/, {len(pairs)} image{'s' * (len(pairs) > 1)} each")
