"""The files of a model: its weights as safetensors, and a JSON sidecar that says what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from ddpm_micro.calibrate import Calibration
from ddpm_micro.choices import did_you_mean
from ddpm_micro.device import choose_device
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.intensity import Percentiles
from ddpm_micro.model import Model, file_of
from ddpm_micro.residual import ResidualCheck
from ddpm_micro.schedule import schedule_from_config
from ddpm_micro.unet import UNetConfig

SHIPPED = Path(__file__).parent / "weights"
JUDGES = {"calibration": Calibration, "residual_check": ResidualCheck}  # added by `ddpm-micro calibrate`
NUMBERS = {  # of a sidecar: what kind a number is, or the numbers of a list, and its range
    "unet": {"base_channels": (int, 1, 4096), "channel_mults": (int, 1, 64), "num_res_blocks": (int, 1, 64),
             "attn_levels": (int, 0, 15), "dropout": (float, 0, 1)},
    "schedule": {"num_train_timesteps": (int, 1, 10**6), "s": (float, 0, 1), "beta_start": (float, 0, 1),
                 "beta_end": (float, 0, 1)},
    "percentiles": {"low": (float, 0, 100), "high": (float, 0, 100), "smoothing_px": (float, 0, 100)},
    "calibration": {"spread": (float, 0, 1e9), "error": (float, 0, 1e9)},
    "residual_check": dict.fromkeys(("lowest", "middle", "highest", "threshold"), (float, -1e9, 1e9)),
    "info": {},
}  # fmt: skip
LISTS = ("channel_mults", "attn_levels", "spread", "error", "lowest", "middle", "highest")


def load_model(name_or_path: str | Path) -> Model:
    """A shipped model by name, or any by the path of its ``.safetensors`` file or of the folder of its training run.

    It lies on the GPU if there is one. ValueError if there is no such model (with the near names), or if its files are
    damaged or do not fit together. An untrained network is never returned.
    """
    path = find_model(name_or_path)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"expected a .safetensors file, got {path.name}; pickled weights can run code when opened and are not read"
        )
    sidecar = path.with_suffix(".json")
    try:
        described, weights = _matching(path)
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
        tensors = {name: tensor.float() for name, tensor in load(weights).items()}
        if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
            raise ValueError(f"the weights {broken[0]} are NaN or infinite")
        model.unet.load_state_dict(tensors, assign=True)
    except FileNotFoundError:
        raise ValueError(
            f"expected {sidecar.name} beside {path.name}: a model is both files, copy them together"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot read the model {path}: {reason}; fetch or train it again") from error
    return model.eval().to(choose_device()[0], memory_format=torch.channels_last)


def _matching(path: Path) -> tuple[dict, bytes]:
    """A sidecar and the weights that it describes. While a newer model is being saved, they may be the older one's."""
    for _ in range(3):  # the files may change between the two readings
        described = json.loads(path.with_suffix(".json").read_text("utf-8"))
        weights = path.read_bytes()
        before = [described["before"]] if isinstance(described, dict) and "before" in described else []
        for one in (described, *before):
            if faults := find_faults(one):
                raise ValueError(f"its sidecar holds {'; '.join(faults)}")
            if one["weights_sha256"] == hashlib.sha256(weights).hexdigest():
                return one, weights
    raise ValueError("the weights are not those the sidecar describes (damaged, cut short, or from another model)")


def find_faults(described: object) -> list[str]:
    """What is wrong with the numbers of a sidecar, one text a fault: nothing is built from a file that has any."""
    if not isinstance(described, dict):
        return [f"a {type(described).__name__}, expected an object"]
    faults = []
    for part, fields in NUMBERS.items():
        numbers = described.get(part, {} if part in JUDGES else None)
        if not isinstance(numbers, dict):
            faults.append(f"{part}: {json.dumps(numbers)[:40]}, expected an object")
            continue
        for name, (kind, least, most) in fields.items():
            value = numbers.get(name, least)  # what must be there, the part itself tells
            several = value if isinstance(value, list) and name in LISTS and len(value) <= 1000 else [value]
            if not all(type(one) in (int, kind) and least <= one <= most for one in several):  # not so for NaN
                whole = "whole " * (kind is int)
                faults.append(f"{part}.{name}: {json.dumps(value)[:40]}, expected {whole}numbers of {least} to {most}")
    if not faults and not described["percentiles"].get("low", 1) < described["percentiles"].get("high", 99.9):
        faults.append("percentiles.low above percentiles.high, expected it below")
    return faults


def find_model(name_or_path: str | Path) -> Path:
    """The file of a shipped model's weights by its name, or of any by its path or the folder of its training run."""
    path = SHIPPED / f"{name_or_path}.safetensors" if str(name_or_path) in shipped_models() else Path(name_or_path)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        known = ", ".join(shipped_models()) or "(none shipped)"
        hint = did_you_mean(str(name_or_path), shipped_models())
        raise ValueError(f"no model {str(name_or_path)!r}: expected a .safetensors file or one of {known}{hint}")
    return path


def load_weights(model: Model, path: Path) -> Model:
    """``model`` with the weights and the information of a file that `save_model` made of a model of the same kind."""
    model.unet.load_state_dict(load(path.read_bytes()))
    model.info = json.loads(path.with_suffix(".json").read_text("utf-8"))["info"]
    return model.eval()


def save_model(model: Model, path: str | Path) -> None:
    """Write ``path`` (.safetensors) and its JSON sidecar over an older model: a reader finds one or the other."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a path that ends in .safetensors, got {path.name}")
    weights = file_of(model)
    described = model.kind() | {"weights_sha256": hashlib.sha256(weights).hexdigest(), "info": model.info}
    if model.calibration and model.calibration.weights_sha256 == described["weights_sha256"]:  # of these weights
        described |= {name: dataclasses.asdict(judge) for name in JUDGES if (judge := getattr(model, name))}
    before = {}
    with suppress(ValueError, KeyError, OSError):
        before = {"before": {key: value for key, value in _matching(path)[0].items() if key != "before"}}
    with atomic_write(path, overwrite=True) as file:
        file.write_bytes(weights)
        _describe(path, described | before)  # so that whenever this is stopped, the sidecar has what the weights are
    _describe(path, described)


def _describe(path: Path, described: dict) -> None:
    with atomic_write(path.with_suffix(".json"), overwrite=True) as sidecar:
        sidecar.write_text(json.dumps(described, indent=1) + "\n", "utf-8")


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
