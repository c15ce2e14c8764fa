"""A model for other programs: a package of the BioImage Model Zoo, with ONNX and TorchScript weights."""

from __future__ import annotations

import json
import math
import re
import tempfile
import warnings
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_micro import simulate
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.intensity import MOST_ABOVE, Percentiles
from ddpm_micro.model import Model

METHODS = {
    "ddpm": "The answer is the mean of all clean images that fit the noisy one, as the network was trained to see "
    "them. It comes from a single call of a diffusion model at its highest noise, with 0 in the place of the noise.",
    "care": "The answer comes at once from a network that was trained on pairs of noisy and clean images.",
    "n2v": "The answer comes at once from a network that was trained on noisy images alone (Noise2Void).",
}


class OneCall(nn.Module):
    """The one-call mean as one function of the image, (1, 1, H, W) in and out; x_T is 0 in place of noise.

    Grey levels go in and come out or, without ``scaling``, network values. Faulty pixels are not looked for.
    """

    def __init__(self, model: Model, *, scaling: bool = True) -> None:
        super().__init__()
        if model.prediction == "eps":
            raise ValueError("expected a model that predicts v or x0, got eps; its one call says nothing of the image")
        self.unet, self.percentiles, self.scaling = model.unet, model.percentiles, scaling
        alpha_bar = model.schedule.alphas_cumprod[-1].item()
        self.noise_level = math.log(alpha_bar / (1 - alpha_bar)) / -8
        self.factor = 1.0 if model.prediction == "x0" else -math.sqrt(1 - alpha_bar)  # x0_hat from v, where x_T is 0

    def forward(self, image: Tensor) -> Tensor:
        offset, scale = _scaling(image, self.percentiles) if self.scaling else (torch.zeros(()), torch.ones(()))
        cond = (image - offset) / scale
        output = self.unet(torch.zeros_like(cond), torch.full((1,), self.noise_level), cond)
        return output * (self.factor * scale) + offset


def _scaling(image: Tensor, percentiles: Percentiles) -> tuple[Tensor, Tensor]:
    """Offset and scale by `Percentiles.fit`, in operations that ONNX knows."""
    radius = int(4 * percentiles.smoothing_px + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / percentiles.smoothing_px) ** 2)
    kernel = kernel / kernel.sum()
    smooth = F.conv2d(F.pad(image, (radius,) * 4, mode="replicate"), torch.outer(kernel, kernel)[None, None])
    ordered = smooth.reshape(-1).sort().values
    last = torch.ones_like(ordered).sum() - 1

    def percentile(percent: float) -> Tensor:
        rank = last * (percent / 100)
        low, high = (ordered[at.long().reshape(1)] for at in (rank.floor(), torch.minimum(rank.floor() + 1, last)))
        return (low + (rank - rank.floor()) * (high - low)).reshape(())

    lowest, highest = percentile(percentiles.low), percentile(percentiles.high)
    half = torch.maximum((highest - lowest) / 2, (ordered[-1] - ordered[0]) / (2 * MOST_ABOVE))
    flat = half <= 1e-6 * torch.maximum(lowest.abs(), highest.abs())  # a constant image, to the precision of float32
    return (lowest + highest) / 2, torch.where(flat, torch.ones_like(half), half)


@torch.no_grad()
def export(model: Model, path: Path, *, name: str, scaling: bool = True, overwrite: bool = False) -> None:
    """Write a .zip, called ``name``, with the network's one call for images of any size.

    With ``scaling`` grey levels go in and come out. A program that cuts images into tiles would scale each tile alone:
    it needs a package without, and network values. ValueError for a model of eps, and without ``ddpm_micro[export]``.
    """
    network = OneCall(model.cpu(), scaling=scaling).eval()
    try:
        from bioimageio.spec import save_bioimageio_package
    except ImportError as error:
        raise ValueError(f"expected bioimageio.spec ({error}); pip install 'ddpm_micro[export]'") from None
    image = simulate.make_pairs("mitochondria", 1, size=96, seed=0).low[0]
    example = torch.from_numpy(image if scaling else model.percentiles.values(image)[0])[None, None]
    words = {"UNIT": "grey levels" if scaling else "network values", "TORCH": torch.__version__.split("+")[0]}
    words["NAME"] = re.sub(r"[^\w+() -]", "_", f"ddpm_micro {name} (one call)", flags=re.ASCII)
    words |= {"TIMESTAMP": datetime.now(timezone.utc).isoformat(), "PERCENTILES": str(model.percentiles)}
    words |= {"METHOD": METHODS[model.method], "TRAINING": json.dumps(model.info)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns wherever a size is read
        files = Path(folder)
        torch.jit.trace(network, example, check_trace=False).save(files / "weights.pt")
        sizes = {tensor: {2: "height", 3: "width"} for tensor in ("image", "mean")}
        named = {"input_names": ["image"], "output_names": ["mean"], "dynamic_axes": sizes}
        torch.onnx.export(network, (example,), files / "weights.onnx", dynamo=False, opset_version=17, **named)
        np.save(files / "image.npy", example.numpy())
        np.save(files / "mean.npy", network(example).numpy())
        for file, kind in (("README.md", ".md"), ("rdf.yaml", ".yaml")):  # templates that lie beside this module
            text = Path(__file__).with_suffix(kind).read_text("utf-8")
            filled = re.sub("|".join(words), lambda found: words[found[0]], text)
            (files / file).write_text(filled, "utf-8")
        with atomic_write(path, overwrite=overwrite) as temporary:
            save_bioimageio_package(files / "rdf.yaml", output_path=temporary)
