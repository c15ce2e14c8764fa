"""Folders of pairs: the same fields in little light (``low/``) and in much (``high/``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ddpm_micro.files import images, read


@dataclass(frozen=True, eq=False)
class PairedPlanes:
    """Planes of the same fields in little and in much light.

    Attributes
    ----------
    low, high : list of ndarray, each (H, W), float32, grey levels
        The two planes of a pair have one shape.
    files : list of str
        The low file of each pair. The pairs of a file stand together.
    left_out : list of str
        Planes without content, such as "cell_01.tif plane 3 of low". Their pairs are not among the others.
    """

    low: list[np.ndarray]
    high: list[np.ndarray]
    files: list[str]
    left_out: list[str]

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, which: slice) -> PairedPlanes:
        return replace(self, low=self.low[which], high=self.high[which], files=self.files[which])

    def hold_out(self, share: float = 0.1) -> tuple[PairedPlanes, PairedPlanes]:
        """Divide the pairs into those for training and those for validation, which are the last ones.

        If there are several files, whole files are held out, since neighbouring planes of a stack are nearly one image.

        Raises
        ------
        ValueError
            If there are fewer than two pairs, or ``share`` would leave none on one side.
        """
        if len(self) < 2 or not 0 < share < 1:
            raise ValueError(f"expected a share of at least 2 pairs of planes, got {share:g} of {len(self)}")
        first = len(self) - max(1, int(len(self) * share))
        if len(set(self.files)) > 1:  # the file that the first one comes from, unless it is the very first file
            first = self.files.index(self.files[first]) or self.files.count(self.files[0])
        return self[:first], self[first:]


def read_pairs(folder: str | Path, *, low_only: bool = False) -> PairedPlanes:
    """The planes of the TIFF files in ``folder/low`` and of the files of the same names in ``folder/high``.

    Capital and small letters in names count as the same, and so do .tif, .tiff and .ome.tif. The pair of an empty plane
    (see `is_empty`) is left out, and the plane named.

    Parameters
    ----------
    folder : path
    low_only : bool
        Whether the folder ``high`` may be missing, as for Noise2Void. The low planes then also stand for the high ones.

    Raises
    ------
    ValueError
        If a folder is missing or has no image with content, a file has no partner, two files of a folder have the same
        name, or two partners differ in shape.
    """
    folder = Path(folder)
    low = _by_name(folder / "low")
    high = low if low_only and not (folder / "high").is_dir() else _by_name(folder / "high")
    alone = [path.name for a, b in ((low, high), (high, low)) for name, path in a.items() if name not in b]
    if alone:
        raise ValueError(
            f"expected the same file names in {folder}/low and {folder}/high; without partner: {', '.join(alone[:5])}"
        )
    pairs = PairedPlanes([], [], [], [])
    for name, path in low.items():
        both = [read(file).image for file in (path, high[name])]
        if both[0].shape != both[1].shape:
            shapes = " and ".join(str(image.shape) for image in both)
            raise ValueError(f"expected low and high of one shape, got {shapes} for {path.name}")
        stacks = [image.reshape(-1, *image.shape[-2:]).astype(np.float32) for image in both]
        for number, planes in enumerate(zip(*stacks), 1):
            empty = [side for side, plane in zip(("low", "high"), planes) if is_empty(plane)]
            if empty:
                pairs.left_out.append(f"{path.name} plane {number} of {' and '.join(empty)}")
                continue
            pairs.low.append(planes[0])
            pairs.high.append(planes[1])
            pairs.files.append(path.name)
    if not len(pairs):
        raise ValueError(f"expected images with content in {folder}, got only empty ones, such as {pairs.left_out[0]}")
    return replace(pairs, high=pairs.low) if high is low else pairs


def is_empty(plane: np.ndarray) -> bool:
    """Whether a plane has no content: all its pixels, except the 0.1 % brightest and darkest, have one value."""
    lowest, highest = np.percentile(plane, [0.1, 99.9], method="nearest")
    return bool(lowest == highest)


def _by_name(folder: Path) -> dict[str, Path]:
    """The TIFF files of a folder by their names in small letters and without ending."""
    found: dict[str, Path] = {}
    for path in images(folder, "pairs are low/NAME.tif and high/NAME.tif"):
        name = re.sub(r"(\.ome)?\.\w+$", "", path.name.lower())
        if name in found:
            raise ValueError(f"expected one file of a name in {folder}, got {found[name].name} and {path.name}")
        found[name] = path
    return found
