"""The command line ``ddpm-micro``. Each command is a module here: its help, its options and what it does.

Modules of commands import no large library until they run, so that ``--help`` and a mistake are answered at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ddpm_micro.cli.options import in_one_line

COMMANDS = ("restore", "check", "train", "calibrate", "evaluate", "simulate", "fetch", "export", "info")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    try:
        arguments = parser().parse_args(argv)
        _say_if_alone()
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"ddpm-micro: {in_one_line(error)}", file=sys.stderr)
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


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog="ddpm-micro", description="Restore micrographs with a denoising diffusion model.")
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f"ddpm_micro.cli.{name}")
        sub = subparsers.add_parser(name, help=command.HELP, description=command.HELP, formatter_class=_Help)
        command.add_options(sub)
        sub.set_defaults(run=command.run)
    return top


def _say_if_alone() -> None:
    """Say that accelerate was asked for several processes and started one, as it does on a computer without GPUs.

    It hands on the address at which the processes should meet, but no number of them.
    """
    if {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys() and "WORLD_SIZE" not in os.environ:
        text = "accelerate was asked for several processes and started one; torchrun --nproc_per_node starts them"
        print(f"ddpm-micro: {text}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Tells a wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"ddpm-micro: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import ddpm_micro

        print(f"ddpm-micro {ddpm_micro.__version__}")
        parser.exit()


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that prints each option's default, except None and False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)
