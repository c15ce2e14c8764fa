"""Measures in the Fourier plane: resolution, ring correlation, power spectrum.

`ddpm_micro.metrics` offers these names too. Images are real arrays of shape (H, W) in any unit. A ring is the set of
Fourier coefficients whose distance from zero frequency rounds to k / min(H, W) cycles per pixel, k = 0, 1, ...,
min(H, W) // 2. The corners of the Fourier plane lie beyond the last ring and are left out: only diagonals reach them.

Raises `ValueError` for an argument that no image could be (a wrong shape, too few pixels, NaN, a pixel size of 0). A
sound image of which a measure says nothing (a constant one, pure noise) gives ``nan`` or ``inf``, so that a table over
many patches is completed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.signal when it is first used: with it comes a second of imports
from numpy.typing import ArrayLike
from scipy import fft, ndimage

from ddpm_micro.arguments import checked_image, checked_pair, checked_positive, of_a_pair

FRC_THRESHOLD = 1 / 7  # Nieuwenhuizen et al. 2013
SPECTRAL_FLOOR = 1e-6  # share of the truth's strongest band; 60 dB below that band nothing can be seen


@dataclass(frozen=True, eq=False)
class FRC:
    """Fourier ring correlation of two images."""

    frequency: np.ndarray  # (R,), cycles / nm: ring radii, from one period per shorter side to the Nyquist frequency
    correlation: np.ndarray  # (R,), in [-1, 1]
    resolution_nm: float  # period at which the correlation falls below 1/7


def _ring_sums(shape: tuple[int, int], *planes: np.ndarray) -> list[np.ndarray]:
    """Sum unshifted Fourier planes over rings; the first result is the number of coefficients a ring holds."""
    height, width = shape
    short = min(shape)
    radius = np.hypot(fft.fftfreq(height)[:, None], fft.fftfreq(width))  # cycles / px
    ring = np.rint(radius * short).astype(int)
    inside = ring <= short // 2
    index = ring[inside]
    return [np.bincount(index)] + [np.bincount(index, plane[inside]) for plane in planes]


def _taper(shape: tuple[int, int]) -> np.ndarray:
    """Window of ones with cosine edges 20 px wide (a quarter of a side at most): hides the jump at the border."""
    edges = [scipy.signal.windows.tukey(side, 2 * min(20, side // 4) / side) for side in shape]
    return np.outer(*edges)


def power_spectrum(image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Radially averaged power spectrum of an image with sides >= 8 px: frequency in cycles / px, and power.

    The mean is subtracted and a Hann window w applied; P_k is the mean of |F|^2 / sum(w^2) over ring k. In this
    normalisation white noise of variance s^2 has P = s^2 at every frequency, whatever the size of the image. The
    min(H, W) // 2 frequencies run from 1 / min(H, W) to 1/2; zero frequency is left out.
    """
    image = checked_image(image, "image", min_side=8)
    height, width = image.shape
    window = np.outer(scipy.signal.windows.hann(height, sym=False), scipy.signal.windows.hann(width, sym=False))
    spectrum = fft.fft2((image - image.mean()) * window)
    count, power = _ring_sums(image.shape, np.abs(spectrum) ** 2 / (window**2).sum())
    frequency = np.arange(count.size) / min(image.shape)
    return frequency[1:], (power / count)[1:]


@of_a_pair(min_side=8)
def spectral_fidelity(truth: ArrayLike, image: ArrayLike) -> float:
    """Agreement of the power spectra of two images, band by band, in (0, 1]; sides >= 8 px.

    P and Q are the means of `power_spectrum` of the truth and the image over 16 bands of rings, equally wide (each
    ring is a band below 32 px); with M bands and a floor e = 1e-6 max P,

        fidelity = 1/M sum_k exp(-|ln((Q_k + e) / (P_k + e))|), that is, the mean of the smaller over the larger.

    It is 1 when the spectra are equal and 1/c^2 for ``c * truth``, c >= 1. The measure knows no positions: it is the
    'perception' axis beside a distortion such as `psnr`. A posterior mean loses high-frequency power and falls well
    below 1; a good posterior sample does not. Power that the truth owes to its own noise counts like any other. Two
    unrelated draws of one spectrum score about 0.90 at 128 px and 0.94 at 256 px. A constant truth gives nan.
    """
    if np.ptp(truth) == 0:
        return np.nan
    spectra = (power_spectrum(x)[1] for x in (truth, image))
    p, q = (np.array([band.mean() for band in np.array_split(x, min(16, x.size))]) for x in spectra)
    floor = SPECTRAL_FLOOR * p.max()
    return np.mean((np.minimum(p, q) + floor) / (np.maximum(p, q) + floor))


def _decorrelation_peak(gain: np.ndarray | float, magnitude: np.ndarray, power: np.ndarray, count: np.ndarray) -> int:
    """Ring at which d(r) has its tallest interior maximum, or 0 where it has none.

    d(r) is the correlation of the whole filtered transform g F with F / |F| inside radius r. Since F conj(F) / |F| is
    |F|, it needs only the ring sums of |F| and |F|^2: a radial filter is a constant on a ring.
    """
    d = np.cumsum(gain * magnitude) / np.sqrt((gain**2 * power).sum() * np.cumsum(count))
    peaks, _ = scipy.signal.find_peaks(d, prominence=1e-3)  # a smaller dip is noise of the curve
    return int(peaks[np.argmax(d[peaks])]) if peaks.size else 0


def resolution(image: ArrayLike, *, pixel_size_nm: float) -> float:
    """Resolution of an image with sides >= 32 px by decorrelation analysis, in nm; no parameter to tune.

    1. Subtract the mean, taper the edges, transform: F(k).
    2. d(r): correlation of F with F / |F| restricted to |k| <= r. It rises while a larger r takes in signal and falls
       where noise takes over, whose normalised coefficients add length and little correlation.
    3. Repeat on high-pass filtered copies (1 - Gaussian), 20 filters from weak to strong, so that strong coarse
       structure cannot outvote weak fine structure.
    4. The resolution is the period of the highest frequency at which any of the curves peaks: above 2 px, and inf
       where none has a peak (a constant image, white noise except for about one in 200).

    It reports the cut-off of optics that have a sharp one. Under a Gaussian PSF the strongest filter decides, which
    grows as frequency squared: 1.05 FWHM as long as the noise is low, and more with more noise. It tells the finest
    period that stands out, *not* whether the structure is true: invented detail counts, and noise that is correlated
    between pixels is taken for signal. Radii go in steps of one ring: use large images for coarse structure.

    Descloux, Grussmayer, Radenovic, Nature Methods 16 (2019) 918, doi 10.1038/s41592-019-0515-7. Written from the
    description there; the spacing of the filters and the sampling of r (every ring) are our own.
    """
    image = checked_image(image, "image", min_side=32)
    pixel_size_nm = checked_positive(pixel_size_nm, "pixel_size_nm")
    if np.ptp(image) == 0:
        return float("inf")
    short = min(image.shape)
    magnitude = np.abs(fft.fft2((image - image.mean()) / np.ptp(image) * _taper(image.shape)))
    count, magnitude, power = _ring_sums(image.shape, magnitude, magnitude**2)
    frequency = np.arange(count.size) / short  # cycles / px

    first = _decorrelation_peak(1.0, magnitude, power, count)
    widest = 1 / frequency[first] if first else short / 2
    widths = [short / 4, *np.geomspace(widest, 0.15, 20)]  # px, of the Gaussian that is taken off
    gains = [1 - np.exp(-2 * (np.pi * width * frequency) ** 2) for width in widths]
    finest = max([first, *(_decorrelation_peak(gain, magnitude, power, count) for gain in gains)])
    return float(pixel_size_nm / frequency[finest]) if finest else float("inf")


@of_a_pair(min_side=32)
def resolution_ratio(truth: ArrayLike, image: ArrayLike) -> float:
    """`resolution` of the image divided by the truth's: 1 is equal, above 1 coarser, below 1 finer; sides >= 32 px.

    inf when only the image has no resolution, nan when the truth has none.
    """
    reference = resolution(truth, pixel_size_nm=1.0)
    return resolution(image, pixel_size_nm=1.0) / reference if np.isfinite(reference) else np.nan


def frc(first: ArrayLike, second: ArrayLike, *, pixel_size_nm: float) -> FRC:
    """Fourier ring correlation of two images of one object with independent noise; sides >= 16 px.

        FRC_k = Re sum_ring F conj(G) / sqrt(sum_ring |F|^2 sum_ring |G|^2)

    after subtraction of the means and tapering of the edges. Signal of power S under noise of power N in each image
    gives S / (S + N). Anything the two share counts as signal: fixed-pattern noise, a shared model's inventions.

    The resolution is inf when the curve starts below 1/7 (nothing in common), and the period of the last ring, 2 px for
    even sides, when it never falls below. A ring without power in one of the images has correlation 0.

    Nieuwenhuizen et al., Nature Methods 10 (2013) 557, doi 10.1038/nmeth.2448.
    """
    first, second = checked_pair(first, second, names=("first", "second"), min_side=16)
    pixel_size_nm = checked_positive(pixel_size_nm, "pixel_size_nm")
    taper = _taper(first.shape)
    # A constant image is set to zero exactly: rounding in its mean would otherwise pass for structure.
    f, g = (fft.fft2((x - x.mean()) * taper * (np.ptp(x) > 0)) for x in (first, second))
    count, cross, power_f, power_g = _ring_sums(first.shape, (f * g.conj()).real, np.abs(f) ** 2, np.abs(g) ** 2)
    norm = np.sqrt(power_f) * np.sqrt(power_g)
    correlation = np.divide(cross, norm, out=np.zeros_like(norm), where=norm > 0)[1:].clip(-1, 1)
    frequency = np.arange(1, count.size) / (min(first.shape) * pixel_size_nm)
    crossing = _crossing(frequency, correlation, 1.0 * count[1:])
    return FRC(frequency, correlation, float(1 / crossing) if crossing else float("inf"))


def _crossing(frequency: np.ndarray, correlation: np.ndarray, count: np.ndarray) -> float:
    """Frequency at which the correlation falls below 1/7 for good: 0 if it starts there, the last if it never does.

    The curve is averaged over 3 rings, weighted by their coefficients, and has to stay below for 3 rings: a single
    low ring has too few coefficients to be trusted. Between rings it is interpolated linearly.
    """
    weighted, weight = (ndimage.uniform_filter1d(x, 3, mode="nearest") for x in (correlation * count, count))
    smooth = weighted / weight
    below = smooth < FRC_THRESHOLD
    lasting = np.flatnonzero(below[:-2] & below[1:-1] & below[2:])
    if not lasting.size:
        return frequency[-1]
    k = lasting[0]
    if k == 0:
        return 0.0
    share = (smooth[k - 1] - FRC_THRESHOLD) / (smooth[k - 1] - smooth[k])
    return frequency[k - 1] + share * (frequency[k] - frequency[k - 1])
