"""Options and checks that several commands share."""

from __future__ import annotations

import argparse
import ast
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from ddpm_micro.choices import SETS
from ddpm_micro.files import is_ngff

DATA_HELP = f"one of {', '.join(SETS)} (simulated), or a folder with low/NAME.tif and high/NAME.tif of the same fields"


def number(to: argparse.ArgumentParser, flag: str, kind: type, default: float | None, text: str) -> None:
    """Add an option that takes a number."""
    to.add_argument(flag, type=kind, default=default, metavar="N" if kind is int else "X", help=text)


def default_of(module: str, owner: str, name: str = "") -> Any:
    """The default of a function's keyword or of a class's field, or a constant, as it stands in the module's source.

    Importing the module would load large libraries only to show the help.
    """
    for node in _statements(module):
        if isinstance(node, ast.FunctionDef) and node.name == owner:
            defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return next(ast.literal_eval(value) for argument, value in defaults if argument.arg == name)
        if isinstance(node, ast.ClassDef) and node.name == owner:
            fields = (line for line in node.body if isinstance(line, ast.AnnAssign))
            return next(ast.literal_eval(line.value) for line in fields if line.target.id == name)
        if isinstance(node, ast.Assign) and node.targets[0].id == owner:
            return ast.literal_eval(node.value)
    raise LookupError(f"no {owner} in {module}.py")


@lru_cache
def _statements(module: str) -> list[ast.stmt]:
    return ast.parse((Path(__file__).parents[1] / f"{module}.py").read_text("utf-8")).body


def model(to: argparse.ArgumentParser) -> None:
    text = "a shipped model, a .safetensors file, or the folder that train wrote"
    to.add_argument("--model", default="generalist", metavar="NAME|FILE|FOLDER", help=text)


def model_and_samples(to: argparse.ArgumentParser, samples: int = 15, why: str = "") -> None:
    model(to)
    to.add_argument("--samples", type=int, default=samples, metavar="K", help="samples to average" + why)


def overwrite(to: argparse.ArgumentParser) -> None:
    to.add_argument("--overwrite", action="store_true", help="replace files that exist")


def check_data(name: str) -> None:
    """Complain of a name that is neither a simulated set nor a folder of pairs, before any library is loaded."""
    if name not in SETS and not Path(name, "low").is_dir():
        raise ValueError(f"expected {DATA_HELP}; got {name}, which has no folder low")


def check_output(path: Path, overwrite: bool) -> None:
    """Complain before the work and not after it."""
    if path.is_dir() and not is_ngff(path):
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name or pass --overwrite")
    if not path.parent.is_dir():
        raise ValueError(f"expected an existing folder to write to, got {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"cannot write to {path.parent}; choose another folder")


def in_one_line(error: Exception) -> str:
    """What a user is told of an error."""
    named = isinstance(error, OSError) and error.strerror and error.filename
    return " ".join((f"{error.strerror}: {error.filename}" if named else str(error)).split())


@contextmanager
def told_once(told: set[str]) -> Iterator[None]:
    """Print the package's warnings when the block has ended well, each kind once: the text for what it met first.

    Kinds that are in ``told`` are not printed again. If the block fails, the error alone matters.
    """
    found: dict[str, str] = {}
    log, handler = logging.getLogger("ddpm_micro"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.setdefault(record.msg, record.getMessage())
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    for kind in found.keys() - told:
        print(f"ddpm-micro: {found[kind]}", file=sys.stderr)
    told |= found.keys()
