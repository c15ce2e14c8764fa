"""Denoising diffusion models for microscopy image restoration, small enough to be read.

>>> from ddpm_micro import checkpoint, restore, simulate
>>> pairs = simulate.make_pairs("zebrafish", 1, size=64, seed=0)
>>> model = checkpoint.load_model("generalist")
>>> restore.restore(model, pairs.low[0], samples=2, steps=2, progress=False).mean.shape
(64, 64)
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "baselines", "checkpoint", "data", "datasets", "evaluate", "files", "metrics", "model", "restore",
    "samplers", "schedule", "simulate", "tiff", "tiling", "train", "unet",
]  # fmt: skip


def __getattr__(name: str) -> ModuleType | str:
    """Import a module at its first use: ``import ddpm_micro`` alone takes no time."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ddpm_micro")
    if name in __all__:
        return import_module(f"ddpm_micro.{'files.tiff' if name == 'tiff' else name}")
    raise AttributeError(f"module 'ddpm_micro' has no attribute {name!r}")
