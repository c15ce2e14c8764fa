"""Measures in the Fourier plane: resolution, ring correlation, power spectrum.

Import these names from `ddpm_micro.metrics`. Images are real arrays of shape (H, W) in any unit. A ring is the set of
Fourier coefficients whose distance from zero frequency rounds to k / min(H, W) cycles per pixel, k = 0, 1, ...,
min(H, W) // 2; what lies beyond, in the corners of the Fourier plane, is left out because only diagonals reach it.

An argument that no image could be (wrong shape, NaN, a pixel size of 0) raises `ValueError`. A sound image of which a
measure says nothing (a constant one, pure noise) gives `nan` or `inf`, so that a table over many patches is completed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, signal

FRC_THRESHOLD = 1 / 7  # Nieuwenhuizen et al. 2013
SPECTRAL_FLOOR = 1e-6  # of the truth's strongest band: 60 dB below it nothing can be seen


@dataclass(frozen=True, eq=False)
class FRC:
    """Fourier ring correlation of two images.

    Attributes
    ----------
    frequency : ndarray, shape (R,), cycles / nm
        Ring radii, from one period per shorter side up to the Nyquist frequency.
    correlation : ndarray, shape (R,), in [-1, 1]
    resolution_nm : float
        Period at which the correlation falls below 1/7.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    resolution_nm: float


def real_array(values, name: str) -> np.ndarray:
    """`values` as an array of ints or floats, not copied; or say in one line that it is none."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # ragged lists
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected an array of real numbers, got {array.dtype}; convert it to float first")
    return array


def checked_image(image, name: str, min_side: int = 1) -> np.ndarray:
    """Return `image` as float64, or say in one line why it is not a finite (H, W) image of that size."""
    array = real_array(image, name).astype(np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected one image (H, W), got shape {array.shape}; pass one plane at a time")
    if min(array.shape) < min_side:
        raise ValueError(f"{name}: expected sides >= {min_side} px, got shape {array.shape}; use a larger patch")
    if bad := np.count_nonzero(~np.isfinite(array)):
        raise ValueError(f"{name}: expected finite values, got {bad} NaN or infinite pixels; replace or crop them")
    return array


def checked_pair(first, second, names=("truth", "image"), min_side: int = 1) -> list[np.ndarray]:
    """Check two images as `checked_image` does, and that they have one shape."""
    pair = [checked_image(image, name, min_side) for image, name in zip((first, second), names, strict=True)]
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"{names[1]}: expected the shape of {names[0]}, {pair[0].shape}, got {pair[1].shape}; crop or resample one"
        )
    return pair


def checked_positive(value, name: str) -> float:
    """Return `value` as a float, or say in one line that it is not a finite number above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < np.inf:
        raise ValueError(f"{name}: expected a finite number above 0, got {value!r}; give it in the documented unit")
    return number


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
    edges = [signal.windows.tukey(side, 2 * min(20, side // 4) / side) for side in shape]
    return np.outer(*edges)


def power_spectrum(image) -> tuple[np.ndarray, np.ndarray]:
    """Radially averaged power spectrum.

    The mean is subtracted and a Hann window w applied; P_k is the mean of |F|^2 / sum(w^2) over ring k. In this
    normalisation white noise of variance s^2 has P = s^2 at every frequency, whatever the size of the image.

    Parameters
    ----------
    image : array_like, shape (H, W), H and W >= 8

    Returns
    -------
    frequency : ndarray, shape (min(H, W) // 2,), cycles / px
        1 / min(H, W) to 1/2; zero frequency is left out.
    power : ndarray, same shape, >= 0, in the unit of `image` squared

    Raises
    ------
    ValueError
        If `image` is not a finite (H, W) array of at least 8 px a side.
    """
    image = checked_image(image, "image", min_side=8)
    height, width = image.shape
    window = np.outer(signal.windows.hann(height, sym=False), signal.windows.hann(width, sym=False))
    spectrum = fft.fft2((image - image.mean()) * window)
    count, power = _ring_sums(image.shape, np.abs(spectrum) ** 2 / (window**2).sum())
    frequency = np.arange(count.size) / min(image.shape)
    return frequency[1:], (power / count)[1:]


def spectral_fidelity(truth, image) -> float:
    """Agreement of the power spectra of two images, band by band.

    P and Q are the means of `power_spectrum` of `truth` and `image` over 16 bands of rings, equally wide (each ring
    is a band below 32 px); with M bands and a floor e = 1e-6 max P,

        fidelity = 1/M sum_k exp(-|ln((Q_k + e) / (P_k + e))|), that is, the mean of the smaller over the larger.

    Every band counts alike and missing power costs as much as power added by the same factor. The measure knows no
    positions: it is the 'perception' axis beside a distortion such as `psnr`. A posterior mean loses high-frequency
    power and falls well below 1, a good posterior sample does not. Power that the truth owes to its own noise is
    counted like any other.

    Parameters
    ----------
    truth, image : array_like, shape (H, W), H and W >= 8, one unit

    Returns
    -------
    float in (0, 1]
        1 when the spectra are equal; 1/c^2 for `c * truth`, c >= 1; two unrelated draws of one spectrum score about
        0.90 at 128 px and 0.94 at 256 px, by chance alone. nan when `truth` is constant.

    Raises
    ------
    ValueError
        If the two are not finite images of one shape, at least 8 px a side.
    """
    truth, image = checked_pair(truth, image, min_side=8)
    if np.ptp(truth) == 0:
        return float("nan")
    spectra = (power_spectrum(x)[1] for x in (truth, image))
    p, q = (np.array([band.mean() for band in np.array_split(x, min(16, x.size))]) for x in spectra)
    floor = SPECTRAL_FLOOR * p.max()
    return float(np.mean((np.minimum(p, q) + floor) / (np.maximum(p, q) + floor)))


def _decorrelation_peak(gain, magnitude, power, count) -> int:
    """Ring at which d(r) has its tallest interior maximum, 0 where it has none.

    d(r) is the correlation of the filtered transform g F, all of it, with F / |F| inside radius r: since
    F conj(F) / |F| = |F|, it needs only ring sums of |F| and |F|^2. A radial filter is a constant on a ring.
    """
    d = np.cumsum(gain * magnitude) / np.sqrt((gain**2 * power).sum() * np.cumsum(count))
    peaks, _ = signal.find_peaks(d, prominence=1e-3)  # a smaller dip is noise of the curve
    return int(peaks[np.argmax(d[peaks])]) if peaks.size else 0


def resolution(image, *, pixel_size_nm: float) -> float:
    """Resolution of a single image by decorrelation analysis; no parameter to tune.

    1. Subtract the mean, taper the edges, transform: F(k).
    2. d(r): correlation of F with F / |F| restricted to |k| <= r. While a larger r takes in signal, d rises; where
       noise takes over, whose normalised coefficients add length and little correlation, it falls. The peak is at
       the radius where that happens.
    3. Repeat on high-pass filtered copies (1 - Gaussian), 20 filters from weak to strong, so that strong coarse
       structure cannot outvote weak fine structure.
    4. The resolution is the period of the highest frequency at which any of the curves peaks.

    Where the optics pass everything up to a sharp cut-off, it reports the cut-off. Under a Gaussian PSF the spectrum
    fades without an edge and the strongest filter, which grows as frequency squared, decides: 2.48 standard deviations
    of the PSF, 1.05 FWHM, as long as the noise is low. More noise makes the number larger.

    It tells the finest period that stands out, *not* whether the structure is true: invented detail counts. Noise
    that is correlated between pixels (after interpolation or smoothing) is taken for signal. Radii go in steps of one
    ring, so the relative step is resolution / (side in nm): use large images for coarse structure.

    Parameters
    ----------
    image : array_like, shape (H, W), H and W >= 32
    pixel_size_nm : float > 0

    Returns
    -------
    float, nm
        Above 2 px; inf when no curve has a peak (constant image; white noise, but for about one in 200).

    Raises
    ------
    ValueError
        If `image` is not a finite (H, W) array of at least 32 px a side, or `pixel_size_nm` is not above 0.

    References
    ----------
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


def resolution_ratio(truth, image) -> float:
    """Resolution of `image` over that of `truth` (`resolution`): 1 is equal, above 1 coarser, below 1 finer.

    Parameters
    ----------
    truth, image : array_like, shape (H, W), H and W >= 32, one pixel size

    Returns
    -------
    float > 0
        inf when only `image` has no resolution, nan when `truth` has none.

    Raises
    ------
    ValueError
        If the two are not finite images of one shape, at least 32 px a side.
    """
    truth, image = checked_pair(truth, image, min_side=32)
    reference = resolution(truth, pixel_size_nm=1.0)
    return resolution(image, pixel_size_nm=1.0) / reference if np.isfinite(reference) else float("nan")


def frc(first, second, *, pixel_size_nm: float) -> FRC:
    """Fourier ring correlation of two images of one object with independent noise.

        FRC_k = Re sum_ring F conj(G) / sqrt(sum_ring |F|^2 sum_ring |G|^2)

    after subtraction of the means and tapering of the edges. Signal of power S under noise of power N in each image
    gives S / (S + N). The resolution is the period where the curve, averaged over 3 rings by their coefficients, first
    falls below 1/7 and stays there for 3 rings, with linear interpolation: a single low ring has too few coefficients
    to be trusted. Anything the two share counts as signal: fixed-pattern noise, a shared model's inventions.

    Parameters
    ----------
    first, second : array_like, shape (H, W), H and W >= 16
    pixel_size_nm : float > 0

    Returns
    -------
    FRC
        `resolution_nm` is inf when the curve starts below 1/7 (nothing in common), and 2 px, the finest period the
        pixels hold, when it never falls below. A ring without power in one of the images has correlation 0.

    Raises
    ------
    ValueError
        If the two are not finite images of one shape, at least 16 px a side, or `pixel_size_nm` is not above 0.

    References
    ----------
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

    weighted, weight = (
        ndimage.uniform_filter1d(x, 3, mode="nearest") for x in (correlation * count[1:], 1.0 * count[1:])
    )
    smooth = weighted / weight
    below = smooth < FRC_THRESHOLD
    lasting = np.flatnonzero(below[:-2] & below[1:-1] & below[2:])
    if lasting.size == 0:
        return FRC(frequency, correlation, 2 * pixel_size_nm)
    k = lasting[0]
    if k == 0:
        return FRC(frequency, correlation, float("inf"))
    share = (smooth[k - 1] - FRC_THRESHOLD) / (smooth[k - 1] - smooth[k])
    crossing = frequency[k - 1] + share * (frequency[k] - frequency[k - 1])
    return FRC(frequency, correlation, float(1 / crossing))
