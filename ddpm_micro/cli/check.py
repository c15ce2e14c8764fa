"""``ddpm-micro check``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ddpm_micro.files.matching import Brightness
    from ddpm_micro.files.pairs import PairedPlanes

HELP = "look at a folder of pairs before anyone trains on it: brightness, shift, empty planes, saturation, noise"
MOST = 16  # pairs that are compared, spread evenly over the folder


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("folder", metavar="FOLDER", help="holds low/NAME.tif and, except for n2v, high/NAME.tif")


def run(arguments: argparse.Namespace) -> None:
    """Print what was found, one line each, and after a colon what to do about it."""
    from ddpm_micro.files.pairs import read_pairs

    _print(findings(read_pairs(arguments.folder, low_only=True))[0])


def matched_pairs(folder: str | Path, *, low_only: bool, tell: bool) -> tuple[PairedPlanes, Brightness | None]:
    """Pairs with the high images in the grey levels of the low ones, and the map that was applied.

    Prints what needs attention if ``tell``. Without a map, which is None, the high images stay as they are.
    """
    from ddpm_micro.files.pairs import read_pairs

    pairs = read_pairs(folder, low_only=low_only)
    rows, brightness = findings(pairs)
    if tell:
        _print(row for row in rows if row[2])
    return (brightness.match(pairs) if brightness else pairs), brightness


def _print(rows: Iterable[tuple[str, str, str]]) -> None:
    for name, found, advice in rows:
        print(f"{name:14}{found}" + (f": {advice}" if advice else ""))


def findings(pairs: PairedPlanes) -> tuple[list[tuple[str, str, str]], Brightness | None]:
    """Rows of name, finding and advice, which is empty where all is well; and the map between low and high."""
    import numpy as np

    from ddpm_micro.files import matching

    rows = [("pairs", f"{len(pairs)} planes in {len(set(pairs.files))} files", "")]
    lost, named = len(pairs.left_out), ", ".join(pairs.left_out[:3])
    rows.append(
        ("empty planes", f"{lost} ({named})" if lost else "none", "left out; record them again" if lost else "")
    )
    sides = {"low": pairs.low} if pairs.high is pairs.low else {"low": pairs.low, "high": pairs.high}
    shares = {side: _saturated(planes) for side, planes in sides.items()}
    found = ", ".join(f"{share:.2%} of {side}" for side, share in shares.items())
    rows.append(
        ("saturation", f"{found} pixels", "expose less; their true brightness is lost" if max(shares.values()) else "")
    )
    if len(sides) == 1:
        return [*rows, ("high", "no such folder", "only --method n2v can train without")], None

    numbers = np.linspace(0, len(pairs) - 1, min(len(pairs), MOST)).astype(int)
    low, high, shifts = zip(*(matching.align(pairs.low[n], pairs.high[n]) for n in numbers))
    far = np.hypot(*np.transpose(shifts))
    unknown = [pairs.files[n] for n in numbers[np.isnan(far)]]
    if unknown:
        text = "are low and high the same fields? or too noisy to tell"
        rows.append(("likeness", f"low and high differ too much for a shift to be found in {unknown[0]}", text))
    if len(unknown) < len(far):
        worst = int(np.nanargmax(far))
        (down, right), file = shifts[worst], pairs.files[numbers[worst]]
        text = f"register them: in {file} high lies {down:.1f} px below and {right:.1f} px right of low"
        found = f"{np.nanmedian(far):.1f} px (median), {far[worst]:.1f} px (largest)"
        rows.append(("shift", found, text if far[worst] > 1 else ""))
    try:
        brightness = matching.fit_brightness(low, high)
    except ValueError as error:
        return [*rows, ("brightness", "does not match", str(error))], None
    text = (
        "high is brought to the grey levels of low, in training, calibration and evaluation"
        if brightness.needed
        else ""
    )
    rows.append(("brightness", str(brightness), text))
    if brightness.bend > 0.05:
        text = "use raw grey levels: a gamma curve, automatic contrast or saturation bends them"
        rows.append(("", f"strays from that by {brightness.bend:.0%} of the range", text))
    scaled = ((image - brightness.offset) / brightness.gain for image in high)
    share = float(np.median([matching.correlated_noise(*pair) for pair in zip(low, scaled)]))
    text = "keep raw frames: smoothing, interpolation or compression spreads noise, and n2v cannot remove it"
    rows.append(("noise", f"{share:.0%} of its variance shared by neighbouring pixels", text if share > 0.25 else ""))
    return rows, brightness


def _saturated(planes: Sequence[np.ndarray]) -> float:
    """Share of pixels at the highest grey level, if it is crowded beside the next one, as at the limit of a camera."""
    top = max(plane.max() for plane in planes)
    count = sum(int((plane == top).sum()) for plane in planes)
    next_top = max(plane[plane < top].max() for plane in planes)
    crowded = count >= 10 and count > 2 * sum(int((plane == next_top).sum()) for plane in planes)
    return count / sum(plane.size for plane in planes) if crowded else 0.0
