"""Exercises of chapter 10: what training and a day of images cost."""

from __future__ import annotations

from ddpm_micro.teach.exercise import Exercise

BYTES_PER_WEIGHT = 20  # weight, gradient, AdamW's two averages and the averaged weight, 4 bytes each


def training_memory(weights: int, per_pixel: float, batch: int, side: int) -> float:
    """Bytes that training takes: 20 for each weight, and the activations of a batch of square patches."""
    return BYTES_PER_WEIGHT * weights + per_pixel * batch * side**2


def camera_hours(frames: int, megapixels: float, samples: int, steps: int, seconds_per_call: float) -> float:
    """Hours of computing for a series, given the seconds of one network call for one megapixel."""
    return frames * megapixels * samples * steps * seconds_per_call / 3600


EXERCISES = {
    "training_memory": Exercise(
        training_memory,
        lambda: [(1_000_000, 3000.0, 8, 64), (300_000, 900.0, 5, 48)],
        {
            "weights alone": (
                lambda weights, per_pixel, batch, side: 4 * weights + per_pixel * batch * side**2,
                "You count 4 bytes a weight: gradient, AdamW's two averages and the averaged weight take 16 more.",
            ),
            "no averaged weights": (
                lambda weights, per_pixel, batch, side: 16 * weights + per_pixel * batch * side**2,
                "You count 16 bytes a weight: the averaged weights (EMA) are a fifth number of 4 bytes.",
            ),
            "one patch": (
                lambda weights, per_pixel, batch, side: 20 * weights + per_pixel * side**2,
                "The activations are those of one patch; all patches of the batch are kept until the gradient is done.",
            ),
            "side for area": (
                lambda weights, per_pixel, batch, side: 20 * weights + per_pixel * batch * side,
                "A patch has side times side pixels, not side.",
            ),
            "activations forgotten": (
                lambda weights, per_pixel, batch, side: 20 * weights,
                "The activations are missing or far too small, and they are most of it.",
            ),
            "all multiplied": (
                lambda weights, per_pixel, batch, side: 20 * weights * per_pixel * batch * side**2,
                "Both parts are multiplied; each takes memory of its own, so add them.",
            ),
            "megabytes": (
                lambda weights, per_pixel, batch, side: training_memory(weights, per_pixel, batch, side) / 1e6,
                "These are megabytes; bytes were asked for.",
            ),
            "batch on the weights": (
                lambda weights, per_pixel, batch, side: batch * (20 * weights + per_pixel * side**2),
                "The batch multiplies the weights too; they are kept once, whatever the batch.",
            ),
            "four bytes a pixel": (
                lambda weights, per_pixel, batch, side: training_memory(weights, 4 * per_pixel, batch, side),
                "per_pixel is in bytes already; do not multiply it by 4.",
            ),
        },
        "Five numbers of 4 bytes for each weight; per_pixel bytes for each of batch * side**2 pixels.",
    ),
    "camera_hours": Exercise(
        camera_hours,
        lambda: [(28_800, 4.2, 15, 10, 5.0), (700, 1.7, 6, 25, 0.8)],
        {
            "one sample": (
                lambda frames, megapixels, samples, steps, seconds: frames * megapixels * steps * seconds / 3600,
                "This draws one sample of each frame; the mean needs all of them.",
            ),
            "one step": (
                lambda frames, megapixels, samples, steps, seconds: frames * megapixels * samples * seconds / 3600,
                "Each sample takes one network call a step; the steps are missing.",
            ),
            "seconds": (
                lambda frames, megapixels, samples, steps, seconds: frames * megapixels * samples * steps * seconds,
                "These are seconds; divide by 3600 for hours.",
            ),
            "minutes": (
                lambda frames, megapixels, samples, steps, seconds: (
                    frames * megapixels * samples * steps * seconds / 60
                ),
                "These are minutes; an hour has 3600 seconds.",
            ),
            "size forgotten": (
                lambda frames, megapixels, samples, steps, seconds: frames * samples * steps * seconds / 3600,
                "The time is for one megapixel; the frames have more.",
            ),
            "days": (
                lambda frames, megapixels, samples, steps, seconds: (
                    camera_hours(frames, megapixels, samples, steps, seconds) / 24
                ),
                "These are days; hours were asked for.",
            ),
        },
        "Network calls: frames * samples * steps. Each takes megapixels * seconds_per_call seconds.",
    ),
}  # fmt: skip
