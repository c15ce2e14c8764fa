"""``ddpm-micro fetch``."""

from __future__ import annotations

import argparse
import sys

HELP = "download a real data set, or find it where DDPM_MICRO_DATA points"


def add_options(to: argparse.ArgumentParser) -> None:
    text = "fmd: confocal, two-photon and wide-field scenes, single noisy frames and means of 50"
    to.add_argument("name", choices=("fmd",), help=text)


def run(arguments: argparse.Namespace) -> None:
    from ddpm_micro import datasets

    folder = datasets.fetch(arguments.name, progress=sys.stderr.isatty())
    print(f"{folder}: {len(datasets.load(arguments.name).scenes)} scenes")
