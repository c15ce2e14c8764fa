"""Denoising diffusion models for microscopy image restoration, small enough to be read."""

from ddpm_micro.checkpoint import Model, load_model, save_model
from ddpm_micro.restore import Restoration, restore

__version__ = "0.1.0"
__all__ = ["Model", "Restoration", "load_model", "restore", "save_model"]
