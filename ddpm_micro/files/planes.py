"""The planes of an image that lies in a file, whatever its format; each is read when it is asked for."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False, kw_only=True)
class Description:
    """What a file says of its planes.

    Attributes
    ----------
    axes : str
        Letters of the axes, for example "TZCYX": T time, Z depth, C channel, Q what the file does not name.
    shape : tuple of int
        Length of each axis.
    dtype : numpy.dtype
        Of the grey values, in native byte order.
    pixel_size_nm : float or None
        Edge of a square pixel in nanometres; None when the file holds no credible one.
    z_step_nm, frame_interval_s : float or None
        Distance between the planes along Z and time between those along T, where there is such an axis.
    form : {"imagej", "ome", "plain", "ngff 0.4", "ngff 0.5"}
        Whose metadata the file has.
    metadata : dict
        Names and colours of channels, in the words of the format's writer.
    notes : tuple of str
        What the file has and `ddpm_micro` does not keep, and where the file and its description disagree.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    pixel_size_nm: float | None = None
    z_step_nm: float | None = None
    frame_interval_s: float | None = None
    form: str = "plain"
    metadata: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def channel_names(self) -> list[str]:
        """The names of the channels; ImageJ has a label for each plane instead."""
        labels, axis = self.metadata.get("Labels", []), self.axes.find("C")
        if axis >= 0 and len(labels) == math.prod(self.shape[:-2]):
            place = [slice(None) if n == axis else 0 for n in range(len(self.shape) - 2)]
            return np.array(labels).reshape(self.shape[:-2])[tuple(place)].tolist()
        return self.metadata.get("Channel", {}).get("Name", [])


@dataclass(frozen=True, eq=False, kw_only=True)
class Micrograph(Description):
    """A file's description with its grey values.

    Attributes
    ----------
    image : ndarray, shape as ``axes``, finite
    """

    image: np.ndarray


class RefusedError(ValueError):
    """A ValueError of our own words; the libraries that read files raise plain ones."""


class Planes:
    """The planes of an open file: ``len(planes)``, and ``planes[i]`` of shape (H, W), finite.

    They come in the order of ``about.axes``, the last axis fastest. A format says in `_read` how it reads one.
    """

    path: Path
    about: Description

    def __len__(self) -> int:
        return math.prod(self.about.shape[:-2])

    def __getitem__(self, number: int) -> np.ndarray:
        if not 0 <= number < len(self):
            raise IndexError(f"expected a plane of 0..{len(self) - 1}, got {number}")
        with told_of(self.path):
            plane = np.ascontiguousarray(self._read(number), dtype=self.about.dtype)
            bad = 0 if plane.dtype.kind in "ui" else np.count_nonzero(~np.isfinite(plane))
            holes = f"{bad} NaN or infinite of {plane.size}"
            self._check(not bad, "finite grey values", holes, "replace them, for example by local medians")
            return plane

    def _read(self, number: int) -> np.ndarray:
        raise NotImplementedError

    def _check(self, fits: object, expected: str, came: object, remedy: str) -> None:
        if not fits:
            raise RefusedError(f"{self.path}: expected {expected}, got {came}; {remedy}")

    def stack(self) -> Micrograph:
        """All planes at once."""
        image = np.stack([self[number] for number in range(len(self))]).reshape(self.about.shape)
        return Micrograph(image=image, **vars(self.about))

    def of_channel(self, channel: int | None) -> tuple[list[int], Description]:
        """The numbers of the planes of a channel, counted from 1, and their description; None stands for all."""
        about, axis = self.about, self.about.axes.find("C")
        channels = about.shape[axis] if axis >= 0 else 1
        if channel is not None and not 1 <= channel <= channels:
            raise ValueError(f"expected a channel of 1 to {channels} in {self.path}, got {channel}")
        if channel is None or axis < 0:
            return list(range(len(self))), about
        numbers = np.arange(len(self)).reshape(about.shape[:-2]).take(channel - 1, axis)
        labels, known = about.metadata.get("Labels", []), about.metadata.get("Channel", {})
        metadata: dict = {"Labels": [labels[i] for i in numbers.flat]} if len(labels) == len(self) else {}
        if known:
            metadata["Channel"] = {key: values[channel - 1 : channel] for key, values in known.items()}
        axes, shape = about.axes.replace("C", ""), about.shape[:axis] + about.shape[axis + 1 :]
        return numbers.ravel().tolist(), replace(about, axes=axes, shape=shape, metadata=metadata)


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Tell what a library stumbles over in one line about the file."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such image; check the name", str(path)) from None
    except (RefusedError, PermissionError):
        raise
    except MemoryError:
        raise RefusedError(f"{path}: too large for this computer's memory; cut it into smaller files") from None
    except Exception as error:  # the readers meet damage with nearly any exception there is
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if re.search("imagecodecs|compression.zstd|zstandard", reason):
            remedy = "save it uncompressed, or: pip install imagecodecs"
            raise RefusedError(
                f"{path}: expected a compression that tifffile reads alone ({reason}); {remedy}"
            ) from None
        remedy = "copy or export it again"
        raise RefusedError(f"{path}: expected a whole image file, got an unreadable one ({reason}); {remedy}") from None
