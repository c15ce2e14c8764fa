"""Images in files: reading them plane by plane, finding what is damaged, and writing whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpm_micro.files.planes import Description, Micrograph, Planes
    from ddpm_micro.files.results import Results

SUFFIXES = (".tif", ".tiff", ".stk", ".lsm", ".zarr")


def images(folder: str | os.PathLike[str], remedy: str = "check the name of the folder") -> list[Path]:
    """The images in a folder, in the order of their names, hidden ones left out; ValueError if there are none."""
    found = sorted(path for path in Path(folder).glob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f"expected TIFF files in {folder}, found none; {remedy}")
    return found


def is_ngff(path: Path) -> bool:
    """Whether a path names an OME-Zarr, by its ending or by the files in it."""
    return path.suffix.lower() == ".zarr" or any((path / name).is_file() for name in ("zarr.json", ".zgroup"))


def opened(path: str | os.PathLike[str]) -> AbstractContextManager[Planes]:
    """Open an image to read its planes one by one; see `ddpm_micro.files.tiff.read` for what is refused."""
    from ddpm_micro.files import tiff

    if not is_ngff(Path(path)):
        return tiff.opened(path)
    from ddpm_micro.files import ngff

    return ngff.opened(Path(path))


def read(path: str | os.PathLike[str]) -> Micrograph:
    """All planes of an image, and what its file says of them."""
    with opened(path) as planes:
        return planes.stack()


def results_at(paths: list[Path], about: Description, key: str, **options: bool) -> Results:
    """Where a result is written plane by plane, in the format that the first path names; see `Results`."""
    from ddpm_micro.files.results import Results

    if not is_ngff(paths[0]):
        return Results(paths, about, key, **options)
    from ddpm_micro.files.ngff import NgffResults

    return NgffResults(paths, about, key, **options)


def done_list(path: Path) -> Path:
    """The hidden file that tells, while a TIFF result is being written, which of its planes are done."""
    return path.with_name(f".{path.name}.done")


def state(path: Path) -> str:
    """How far a result has come: "" if it is not there, "begun" if the same run may go on with it, or "whole"."""
    if not is_ngff(path):
        return "begun" if done_list(path).exists() else "whole" if path.exists() else ""
    from ddpm_micro.files.ngff import described

    return "" if not path.exists() else "whole" if "multiscales" in described(path) else "begun"


def remove(path: Path) -> None:
    """Remove an image, if there is one."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
