"""The files of a model: its weights as safetensors, and a JSON sidecar that says what they are."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from ddpm_micro.calibrate import Calibration
from ddpm_micro.device import choose_device
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.intensity import Percentiles
from ddpm_micro.model import Model, file_of
from ddpm_micro.residual import ResidualCheck
from ddpm_micro.schedule import schedule_from_config
from ddpm_micro.unet import UNetConfig

SHIPPED = Path(__file__).parent / "weights"
JUDGES = {
    "calibration": Calibration,
    "residual_check": ResidualCheck,
}  # added by `ddpm-micro calibrate`


def load_model(name_or_path: str | Path) -> Model:
    """A shipped model by name, or any by the path of its ``.safetensors`` file or of the folder of its training run.

    It lies on the GPU if there is one.

    Raises
    ------
    ValueError
        If there is no such model (with the near names), or its files are damaged or do not fit together. An
        untrained network is never returned.
    """
    path = find_model(name_or_path)
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
        schedule, info = schedule_from_config(described["schedule"]), described["info"]
        # Earlier sidecars tell the method only among the options of the training.
        method = described.get("method") or info.get("training", {}).get("method", "ddpm")
        with torch.device("meta"):  # no weights drawn only to be replaced
            model = Model(
                UNetConfig(**described["unet"]),
                schedule,
                prediction=described["prediction"],
                method=method,
                percentiles=Percentiles(**described["percentiles"]),
                info=info,
            )
        for name in JUDGES.keys() & described:
            setattr(model, name, JUDGES[name](**described[name]))
        if model.calibration and model.calibration.weights_sha256 != described["weights_sha256"]:
            raise ValueError("its calibration was made with other weights; delete it from the sidecar")
        model.unet.load_state_dict({name: tensor.float() for name, tensor in load(weights).items()}, assign=True)
    except FileNotFoundError:
        raise ValueError(
            f"expected {sidecar.name} beside {path.name}: a model is both files, copy them together"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the model {path}: {reason}; fetch or train it again") from error
    return model.eval().to(choose_device()[0], memory_format=torch.channels_last)


def find_model(name_or_path: str | Path) -> Path:
    """The file of a shipped model's weights by its name, or of any by its path or the folder of its training run."""
    path = SHIPPED / f"{name_or_path}.safetensors" if str(name_or_path) in shipped_models() else Path(name_or_path)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        near = difflib.get_close_matches(str(name_or_path), shipped_models(), n=2, cutoff=0.5)
        known = ", ".join(shipped_models()) or "(none shipped)"
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"no model {str(name_or_path)!r}: expected a .safetensors file or one of {known}{hint}")
    return path


def load_weights(model: Model, path: Path) -> Model:
    """``model`` with the weights and the information of a file that `save_model` made of a model of the same kind."""
    model.unet.load_state_dict(load(path.read_bytes()))
    model.info = json.loads(path.with_suffix(".json").read_text("utf-8"))["info"]
    return model.eval()


def save_model(model: Model, path: str | Path) -> None:
    """Write ``path`` (.safetensors) and its JSON sidecar, each whole or not at all, over a model that is there."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a path that ends in .safetensors, got {path.name}")
    weights = file_of(model)
    described = {
        "unet": dataclasses.asdict(model.unet.config),
        "schedule": model.schedule.config,
        "prediction": model.prediction,
        "method": model.method,
        "percentiles": dataclasses.asdict(model.percentiles),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "info": model.info,
    }
    if model.calibration and model.calibration.weights_sha256 == described["weights_sha256"]:  # of these weights
        described |= {name: dataclasses.asdict(judge) for name in JUDGES if (judge := getattr(model, name))}
    with atomic_write(path.with_suffix(".json"), overwrite=True) as sidecar, atomic_write(path, overwrite=True) as file:
        sidecar.write_text(json.dumps(described, indent=1) + "\n", "utf-8")  # both are written before either appears
        file.write_bytes(weights)


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
