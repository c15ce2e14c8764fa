"""``ddpm-micro check``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
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
    rows: list[tuple[str, str, str]] = []

    def row(name: str, found: str, advice: str = "", *, wrong: object = True) -> None:
        rows.append((name, found, advice if wrong else ""))

    row("pairs", f"{len(pairs)} planes in {len(set(pairs.files))} files")
    lost = f"{len(pairs.left_out)} ({', '.join(pairs.left_out[:3])})" if pairs.left_out else "none"
    row("empty planes", lost, "left out; record them again", wrong=pairs.left_out)
    sides = {"low": pairs.low} if pairs.high is pairs.low else {"low": pairs.low, "high": pairs.high}
    shares = {side: _saturated(planes) for side, planes in sides.items()}
    found = ", ".join(f"{share:.2%} of {side}" for side, share in shares.items())
    row("saturation", f"{found} pixels", "expose less; their true brightness is lost", wrong=max(shares.values()))
    coarse = [file for planes in sides.values() for file, plane in zip(pairs.files, planes) if _coarse(plane)]
    if coarse:
        row("grey levels", f"too far from 0 for their contrast in {coarse[0]}", "subtract an offset first")
    if len(sides) == 1:
        row("high", "no such folder", "only --method n2v can train without")
        return rows, None
    return rows, _compare(pairs, row)


def _compare(pairs: PairedPlanes, row: Callable[..., None]) -> Brightness | None:
    """Find out how low and high fit each other; add rows, and return the map between them if there is one."""
    import numpy as np

    from ddpm_micro.files import matching

    numbers = np.linspace(0, len(pairs) - 1, min(len(pairs), MOST)).astype(int)
    low, high, shifts = zip(*(matching.align(pairs.low[n], pairs.high[n]) for n in numbers))
    far = np.hypot(*np.transpose(shifts))
    unknown = [pairs.files[n] for n in numbers[np.isnan(far)]]
    if unknown:
        text = "are low and high the same fields? or too noisy to tell"
        row("likeness", f"low and high differ too much for a shift to be found in {unknown[0]}", text)
    if len(unknown) < len(far):
        worst = int(np.nanargmax(far))
        (down, right), file = shifts[worst], pairs.files[numbers[worst]]
        text = f"register them: in {file} high lies {down:.1f} px below and {right:.1f} px right of low"
        found = f"{np.nanmedian(far):.1f} px (median), {far[worst]:.1f} px (largest)"
        row("shift", found, text, wrong=far[worst] > 1)
    try:
        brightness = matching.fit_brightness(low, high)
    except ValueError as error:
        row("brightness", "does not match", str(error))
        return None
    text = "high is brought to the grey levels of low, in training, calibration and evaluation"
    row("brightness", str(brightness), text, wrong=brightness.needed)
    if brightness.bend > 0.05:
        text = "use raw grey levels: a gamma curve, automatic contrast or saturation bends them"
        row("", f"strays from that by {brightness.bend:.0%} of the range", text)
    both = [(one, (other - brightness.offset) / brightness.gain) for one, other in zip(low, high)]
    share = float(np.median([matching.correlated_noise(*pair) for pair in both]))
    text = "keep raw frames: smoothing, interpolation or compression spreads noise, and n2v cannot remove it"
    row("noise", f"{share:.0%} of its variance shared by neighbouring pixels", text, wrong=share > 0.25)
    more = float(np.median([matching.noise(other) / max(matching.noise(one), 1e-12) for one, other in both]))
    if more > 1.5:  # it is 0.2 to 0.4 in the four simulated sets and in FMD
        row("", f"high has {more:.1f} times as much of it as low", "are the two folders swapped?")
    return brightness


def _coarse(plane: np.ndarray) -> bool:
    """Whether the steps of float32 at these grey levels are more than a hundredth of their range."""
    import numpy as np

    return bool(np.spacing(np.abs(plane).max()) > np.ptp(np.percentile(plane, [1, 99.9])) / 100)


def _saturated(planes: Sequence[np.ndarray]) -> float:
    """Share of pixels at the highest grey level, if it is crowded beside the next one, as at the limit of a camera."""
    top = max(plane.max() for plane in planes)
    count = sum(int((plane == top).sum()) for plane in planes)
    next_top = max(plane[plane < top].max() for plane in planes)
    crowded = count >= 10 and count > 2 * sum(int((plane == next_top).sum()) for plane in planes)
    return count / sum(plane.size for plane in planes) if crowded else 0.0
