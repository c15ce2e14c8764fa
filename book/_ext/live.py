"""Makes what the page "Restore your own image here" loads, from the sources in book/_static/live.

A page that was opened as a file may fetch nothing, and may start neither modules nor workers by their address. It can
load classic scripts. So the sources become one script, which holds a copy of the engine as text for the workers;
kernels, weights and examples become text too. The weights are written in half precision, which halves what the reader
loads.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "book" / "_static" / "live"
MODELS = ROOT / "ddpm_micro" / "weights"
# In the order of reading. The engine runs in the workers; the page runs on top of it, in the reader's window.
ENGINE = ("noise", "schedule", "sampler", "scaling", "tiling", "weights", "kernels", "unet", "model")
FILES = ("bytes", "pixel_size", "tiff_pixels", "tiff", "tiff_write", "png", "image")


def source(names: tuple[str, ...]) -> str:
    """The named files, one after the other."""
    return "\n".join((SOURCES / f"{name}.js").read_text("utf-8") for name in names)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def half_precision(model: Path) -> bytes:
    """The weights of a .safetensors file as float16.

    The network scales each filter to root mean square 1, so its stored size is free. It is set to 1, where float16 is
    finest. Everything else is a handful of numbers and stays as it is.
    """
    tensors = load_file(model)
    for name, weight in tensors.items():
        if weight.ndim >= 2:
            norm = np.sqrt(np.mean(weight.astype(np.float64) ** 2, axis=tuple(range(1, weight.ndim)), keepdims=True))
            tensors[name] = (weight / (norm + 1e-4)).astype(np.float16)
    return save(tensors)


def kernels() -> dict[str, str]:
    """Both builds of kernels.c."""
    return {
        name: text((SOURCES / f"kernels{tail}.wasm").read_bytes())
        for name, tail in (("plain", ""), ("relaxed", "_relaxed"))
    }


def descriptions() -> dict[str, dict]:
    """What the engine has to know of each shipped model besides its weights."""
    keys = ("unet", "schedule", "prediction", "percentiles")
    sidecars = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(MODELS.glob("*.json"))}
    return {name: {key: sidecar[key] for key in keys} for name, sidecar in sidecars.items()}
