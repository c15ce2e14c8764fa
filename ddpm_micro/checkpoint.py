"""A trained model: its file (safetensors, with a JSON sidecar) and the denoiser it is."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ddpm_micro.atomic import atomic_write
from ddpm_micro.device import choose_device
from ddpm_micro.intensity import Percentiles, Scaling
from ddpm_micro.samplers import noise_like, seeded
from ddpm_micro.schedule import NoiseSchedule, check_prediction, rates, schedule_from_config, to_x0
from ddpm_micro.tiling import tiled
from ddpm_micro.unet import UNet, UNetConfig

SHIPPED = Path(__file__).parent / "weights"
AUTO_TILE = 192  # pixels: larger images are worked on in tiles of this side
LIMIT = 1e37  # grey levels: results are float32, which ends at 3e38
EPS_LIMIT = 3.0  # x0_hat of an eps model is held in [-3, 3]: see `to_x0` on t = T


class Model(nn.Module):
    """A network and all it takes to use it; calling it is denoising.

    Parameters
    ----------
    config : UNetConfig
    schedule : NoiseSchedule
    prediction : {"v", "eps", "x0"}
        What the network was trained to return.
    percentiles : Percentiles
        How images were scaled in training.
    info : dict
        How it came about (data, seed, steps, time, machine, validation curve): for people to read.
    """

    def __init__(
        self,
        config: UNetConfig,
        schedule: NoiseSchedule,
        *,
        prediction: str = "v",
        percentiles: Percentiles | None = None,
        info: dict | None = None,
    ) -> None:
        super().__init__()
        check_prediction(prediction)
        self.unet = UNet(config)
        self.schedule, self.prediction = schedule, prediction
        self.percentiles, self.info = percentiles or Percentiles(), info or {}

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x0_hat, float32, from x_t and cond of shape (B, 1, H, W) and t of shape (B,), int64."""
        x0_hat = to_x0(self.schedule, self.output(x_t, t, cond).float(), x_t.float(), t, self.prediction)
        return x0_hat.clamp(-EPS_LIMIT, EPS_LIMIT) if self.prediction == "eps" else x0_hat

    def output(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The bare network output: eps, v or x0."""
        return self.unet(*self.inputs(x_t, t, cond))

    def inputs(self, x_t: Tensor, t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is given: x_t, turned down by the signal rate, the noise level, and cond.

        For images of unit power sqrt(alpha_bar) x_t is the best linear estimate of x0 from x_t alone (Wiener). At
        t = T it is zero: noise that tells nothing need not be learned to be ignored. Only eps, which at t = T is
        nearly x_t itself, has to be found in x_t as it is.
        """
        seen = x_t if self.prediction == "eps" else rates(self.schedule, t, x_t)[0] * x_t
        return seen, self.noise_level(t).to(x_t), cond

    def noise_level(self, t: Tensor) -> Tensor:
        """What the network is told of t, float64: log(noise rate / signal rate) / 4, EDM2's c_noise; about -1..2.

        The paper embeds alpha_bar_t itself, in which the steps near either end can hardly be told apart.
        """
        return self.schedule.snr(t).log() / -8

    def planes(self, image: np.ndarray) -> Iterator[tuple[Tensor, Scaling]]:
        """Each plane of an (H, W) or (N, H, W) image as cond (1, 1, H, W) on the model's device, with its scaling.

        Raises
        ------
        ValueError
            At once, if the image has another number of axes, no pixels, no real numbers, or some that are not finite
            or huge.
        """
        image = np.asarray(image)
        if image.ndim not in (2, 3) or not image.size:
            raise ValueError(
                f"expected an image of shape (H, W) or a stack (N, H, W), got shape {image.shape}; split it"
            )
        if image.dtype.kind not in "uif":
            raise ValueError(f"expected grey levels as integers or floating-point numbers, got {image.dtype}")
        stack = image[None] if image.ndim == 2 else image
        for plane in stack:
            unusable = np.count_nonzero(~(np.abs(plane.astype(np.float64)) < LIMIT))  # NaN compares as false
            if unusable:
                raise ValueError(
                    f"expected grey levels below {LIMIT:g}, got {unusable} pixels that are NaN, infinite or larger"
                )
        return (self._plane(plane) for plane in stack)

    def _plane(self, plane: np.ndarray) -> tuple[Tensor, Scaling]:
        scaling = self.percentiles.fit(plane)
        value = scaling.apply(plane.astype(np.float64))  # where the largest integers and floats still have a difference
        return torch.from_numpy(value.astype(np.float32))[None, None].to(next(self.parameters()).device), scaling

    def fingerprint(self) -> str:
        """SHA-256 of the file of the weights, ``weights_sha256`` in the sidecar; the same on every device."""
        return hashlib.sha256(_file_of(self)).hexdigest()

    @torch.no_grad()
    def posterior_mean(self, image: np.ndarray, *, seed: int = 0, tile: int | None = None) -> np.ndarray:
        """E[clean image | image] from one call of the network at t = T, where x_t is noise and tells nothing.

        What the mean of infinitely many samples of a perfect model converges to.

        Parameters
        ----------
        image : ndarray, shape (H, W) or (N, H, W), grey levels
        seed : int
            Of the noise that stands for x_T.
        tile : int, pixels, optional
            See `ddpm_micro.restore.restore`.

        Returns
        -------
        ndarray, float32, shape and units of ``image``

        Raises
        ------
        ValueError
            For an unsuitable image, and for a model that predicts eps: at t = T that says nothing of the image.
        """
        if self.prediction == "eps":
            raise ValueError(
                "expected a model that predicts v or x0, got eps, which at t = T says nothing of the image; "
                "average samples instead"
            )
        denoiser = tiled(self, AUTO_TILE if tile is None else tile)
        means = []
        for cond, scaling in self.planes(image):
            x_t = noise_like(cond, seeded(seed, 0))
            t = torch.full((1,), self.schedule.num_train_timesteps - 1, device=cond.device)
            means.append(scaling.invert(denoiser(x_t, t, cond)[0, 0].cpu().double().numpy()).astype(np.float32))
        return np.stack(means).reshape(np.shape(image))


def load_model(name_or_path: str | Path) -> Model:
    """A shipped model by name, or any by the path of its ``.safetensors`` file; on the GPU if there is one.

    Raises
    ------
    ValueError
        If there is no such model (with the near names), or its files are damaged or do not fit together. An
        untrained network is never returned.
    """
    path = SHIPPED / f"{name_or_path}.safetensors" if str(name_or_path) in shipped_models() else Path(name_or_path)
    if not path.is_file():
        near = difflib.get_close_matches(str(name_or_path), shipped_models(), n=2, cutoff=0.5)
        known = ", ".join(shipped_models()) or "(none shipped)"
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"no model {str(name_or_path)!r}: expected a .safetensors file or one of {known}{hint}")
    if path.suffix != ".safetensors":
        raise ValueError(
            f"expected a .safetensors file, got {path.name}; pickled weights can run code when opened and are not read"
        )
    sidecar = path.with_suffix(".json")
    try:
        described = json.loads(sidecar.read_text("utf-8"))
        weights = path.read_bytes()
        if hashlib.sha256(weights).hexdigest() != described["weights_sha256"]:
            raise ValueError(
                "the weights are not those the sidecar describes (damaged, cut short, or from another model)"
            )
        schedule = schedule_from_config(described["schedule"])
        with torch.device("meta"):  # no weights drawn only to be replaced
            model = Model(
                UNetConfig(**described["unet"]),
                schedule,
                prediction=described["prediction"],
                percentiles=Percentiles(**described["percentiles"]),
                info=described["info"],
            )
        model.unet.load_state_dict({name: tensor.float() for name, tensor in load(weights).items()}, assign=True)
    except FileNotFoundError:
        raise ValueError(
            f"expected {sidecar.name} beside {path.name}: a model is both files, copy them together"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the model {path}: {reason}; fetch or train it again") from error
    return model.eval().to(choose_device()[0], memory_format=torch.channels_last)


def save_model(model: Model, path: str | Path) -> None:
    """Write ``path`` (.safetensors) and its JSON sidecar, each whole or not at all, over a model that is there."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a path that ends in .safetensors, got {path.name}")
    weights = _file_of(model)
    described = {
        "unet": dataclasses.asdict(model.unet.config),
        "schedule": model.schedule.config,
        "prediction": model.prediction,
        "percentiles": dataclasses.asdict(model.percentiles),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "info": model.info,
    }
    with atomic_write(path.with_suffix(".json"), overwrite=True) as sidecar, atomic_write(path, overwrite=True) as file:
        sidecar.write_text(json.dumps(described, indent=1) + "\n", "utf-8")  # both are written before either appears
        file.write_bytes(weights)


def _file_of(model: Model) -> bytes:
    """The weights as they stand in a .safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.unet.state_dict().items()})


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
