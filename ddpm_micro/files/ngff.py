"""OME-Zarr (NGFF 0.4 and 0.5): an image is a folder in which each plane is a file, a chunk of an array.

So any number of processes, on any number of computers, write a result side by side, and a run that was stopped goes on:
a chunk that is there is done. The folder becomes an image with the last chunk: only then the axes are described in it.
"""

from __future__ import annotations

import math
import random
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ddpm_micro.files.planes import Description, Planes, RefusedError, told_of
from ddpm_micro.files.results import Results
from ddpm_micro.files.scale import NM_RANGE, S_RANGE, nanometres, seconds, square, times

TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}  # in NGFF's order of axes


def _zarr() -> ModuleType:
    try:
        import zarr
    except ImportError:
        remedy = 'pip install "ddpm_micro[zarr]", on Python 3.11 or later'
        raise RefusedError(f"OME-Zarr takes the package zarr: {remedy}") from None
    return zarr


def described(path: Path) -> dict[str, Any]:
    """What an OME-Zarr says of itself; "multiscales" is among it when all planes are there."""
    try:
        attributes = _zarr().open_group(path, mode="r").attrs.asdict()
    except FileNotFoundError:
        raise RefusedError(f"{path}: expected an OME-Zarr, got something else of this name; check it") from None
    return attributes | attributes.get("ome", {})  # where NGFF 0.5 keeps it


class NgffPlanes(Planes):
    """The planes of an OME-Zarr, in its full resolution."""

    def __init__(self, path: Path) -> None:
        self.path, about = path, described(path)
        remedy = "give the folder of one image, such as FOLDER/0; an unfinished result has to be finished first"
        self._check(about.get("multiscales"), "an OME-Zarr image", "a folder without one", remedy)
        image = about["multiscales"][0]
        version = str(about.get("version", image.get("version")))
        self._check(version in ("0.4", "0.5"), "NGFF 0.4 or 0.5", f"version {version}", "convert it")
        level = image["datasets"][0]
        inside = path.resolve() in (path / level["path"]).resolve().parents
        self._check(inside, "an image in this folder", f"one at {level['path']}", "give the folder that it lies in")
        self._array = _zarr().open_array(path / level["path"], mode="r")
        shape, dtype = self._array.shape, self._array.dtype
        letters = {kind: axis for axis, kind in TYPES.items() if kind != "space"}
        axes = "".join(letters.get(axis.get("type"), axis["name"].upper()) for axis in image["axes"])
        fits = dtype.kind in "uif" and axes[-2:] == "YX" and len(axes) == len(shape) and set(axes) <= set(TYPES)
        came = f"axes {axes} of shape {shape}, {dtype}"
        self._check(fits and 0 not in shape, "grey values with axes of T, C, Z, Y and X", came, "convert it")
        steps = dict.fromkeys("TZYX")
        moves = (*level.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ()))
        for axis, one, *factors in zip(axes, image["axes"], *(move["scale"] for move in moves if "scale" in move)):
            unit, within = (seconds, S_RANGE) if axis == "T" else (nanometres, NM_RANGE)
            steps[axis] = times(math.prod(factors), unit(one.get("unit")), within)
        pixel, notes = square(steps["X"], steps["Y"])
        if self._array.shards is None and (lacking := self._array.nchunks - self._array.nchunks_initialized):
            notes.append(f"{lacking} of its {self._array.nchunks} chunks are not there and count as empty")
        channels = about.get("omero", {}).get("channels", [])
        names = [channel.get("label", "") for channel in channels]
        self.about = Description(
            axes=axes, shape=shape, dtype=dtype.newbyteorder("="), pixel_size_nm=pixel, z_step_nm=steps["Z"],
            frame_interval_s=steps["T"], form=f"ngff {version}", notes=tuple(notes),
            metadata={"Channel": {"Name": names, "omero": channels}} if channels else {},
        )  # fmt: skip
        self[0]  # what cannot be restored is told at once

    def _read(self, number: int) -> np.ndarray:
        return self._array[tuple(np.unravel_index(number, self.about.shape[:-2] or (1,)))[: len(self.about.shape) - 2]]


@contextmanager
def opened(path: Path) -> Iterator[NgffPlanes]:
    """Open an OME-Zarr to read its planes one by one."""
    with told_of(path):
        planes = NgffPlanes(path)
    yield planes


class NgffResults(Results):
    """OME-Zarrs of the version of the input, else 0.4, which stand at their places from the beginning."""

    def _begin(self, about: Description, *, first: bool, overwrite: bool) -> None:
        letters = about.axes if "Z" in about.axes else about.axes.replace("Q", "Z", 1)
        if "Q" in letters:
            raise ValueError(f"expected axes T, C and Z for an OME-Zarr, got {about.axes}; write a TIFF")
        axes = [axis for axis in TYPES if axis in letters]
        self._from, self._stack = [letters.index(axis) for axis in axes], about.shape[:-2]
        self._old, self._about = about.form != "ngff 0.5", _description(axes, about)
        there = [path for path in self.paths if path.exists()] if first else []
        if any(described(path).get("ddpm_micro") != self._key for path in there) or self._whole():
            if not overwrite:
                raise FileExistsError(f"{there[0]} exists; choose another name or pass --overwrite")
            self._discard()
        for path in self.paths:
            if first and not path.exists():
                self._make(path, [about.shape[axis] for axis in self._from], [axis.lower() for axis in axes])
        self._arrays = [_zarr().open_array(path / "0", mode="r+") for path in self.paths]

    def _whole(self) -> bool:
        return self.paths[0].exists() and "multiscales" in described(self.paths[0])

    def _make(self, path: Path, shape: list[int], names: list[str]) -> None:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        group = _zarr().open_group(temporary, mode="w-", zarr_format=2 if self._old else 3)
        group.attrs["ddpm_micro"] = self._key
        keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if self._old else {"dimension_names": names}
        chunks = [1] * (len(shape) - 2) + shape[-2:]
        # NaN where a chunk is missing, so that no one takes a plane that is not there for a black one.
        group.create_array("0", shape=shape, chunks=chunks, dtype="float32", fill_value=float("nan"), **keys)
        try:
            temporary.rename(path)
        except OSError:
            shutil.rmtree(temporary)
            if not path.exists():  # else another process was faster
                raise

    def _index(self, number: int) -> tuple[int, ...]:
        """Where a plane, counted in the order of the file's axes, stands among NGFF's."""
        places = (*np.unravel_index(number, self._stack), 0, 0) if self._stack else (0, 0)
        return tuple(int(places[axis]) for axis in self._from)

    def done(self, number: int) -> bool:
        return self.paths[0].joinpath("0" if self._old else "0/c", *map(str, self._index(number))).exists()

    def todo(self) -> list[int]:
        """The planes that are not done, mixed: so several computers seldom do the same one at once."""
        numbers = [number for number in range(math.prod(self._stack)) if not self.done(number)]
        return random.sample(numbers, len(numbers))

    def put(self, number: int, *images: np.ndarray) -> None:
        for array, image in reversed(list(zip(self._arrays, images, strict=True))):  # the mean, which counts, last
            array[self._index(number)[:-2]] = image

    def _begun(self) -> bool:
        return any(self.done(number) for number in range(math.prod(self._stack)))

    def _discard(self) -> None:
        for path in self.paths:
            shutil.rmtree(path, ignore_errors=True)

    def _publish(self, *, overwrite: bool) -> None:
        for path in reversed(self.paths):
            group = _zarr().open_group(path, mode="r+")
            group.attrs.update(self._about if self._old else {"ome": self._about})


def _description(axes: list[str], about: Description) -> dict[str, Any]:
    """What NGFF wants to know of an image."""
    steps = {"T": about.frame_interval_s, "Z": about.z_step_nm, "Y": about.pixel_size_nm, "X": about.pixel_size_nm}
    known, factors = [], []
    for axis in axes:
        unit, per = ("second", 1) if axis == "T" else ("micrometer", 1e3)
        step = steps.get(axis)
        known.append({"name": axis.lower(), "type": TYPES[axis]} | ({} if step is None else {"unit": unit}))
        factors.append(1.0 if step is None else step / per)
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": factors}]}
    version = about.form.removeprefix("ngff ") if about.form.startswith("ngff") else "0.4"
    found: dict[str, Any] = {
        "version": version,
        "multiscales": [{"version": version, "axes": known, "datasets": [level]}],
    }
    if names := about.channel_names():
        window = {"min": 0, "max": 65535, "start": 0, "end": 65535}
        plain = [{"label": name, "color": "FFFFFF", "window": window, "active": True} for name in names]
        found["omero"] = {"channels": about.metadata.get("Channel", {}).get("omero", plain)}
    return found
