"""Images in files: reading them plane by plane, finding what is damaged, and writing whole or not at all."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpm_micro.files.planes import Description, Micrograph, Planes
    from ddpm_micro.files.results import Results

SUFFIXES = (".tif", ".tiff", ".stk", ".lsm")


def images(folder: str | os.PathLike[str]) -> list[Path]:
    """The images in a folder, in the order of their names; hidden files are passed over.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = sorted(path for path in Path(folder).glob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f"expected TIFF files in {folder}, found none")
    return found


def opened(path: str | os.PathLike[str]) -> AbstractContextManager[Planes]:
    """Open an image to read its planes one by one; see `ddpm_micro.files.tiff.read` for what is refused."""
    from ddpm_micro.files import tiff

    return tiff.opened(path)


def read(path: str | os.PathLike[str]) -> Micrograph:
    """All planes of an image, and what its file says of them."""
    with opened(path) as planes:
        return planes.stack()


def results_at(paths: list[Path], about: Description, key: str, *, first: bool) -> Results:
    """Where a result is written plane by plane, in the format that the first path names."""
    from ddpm_micro.files.results import Results

    return Results(paths, about, key, first=first)
