"""``ddpm-micro info``."""

from __future__ import annotations

import argparse
import json

HELP = "device, precision and models here; or how a model was made"


def add_options(to: argparse.ArgumentParser) -> None:
    text = "a shipped model, a .safetensors file, or the folder that train wrote"
    to.add_argument("model", nargs="?", metavar="NAME|FILE|FOLDER", help=text)


def run(arguments: argparse.Namespace) -> None:
    import ddpm_micro
    from ddpm_micro.checkpoint import load_model, shipped_models
    from ddpm_micro.device import choose_device, choose_precision

    if arguments.model:
        model = load_model(arguments.model)
        described = {"parameters": sum(p.numel() for p in model.parameters()), "prediction": model.prediction}
        print(json.dumps({**described, "schedule": model.schedule.config, **model.info}, indent=1))
        return
    device, why = choose_device()
    precision, reason = choose_precision(device)
    print(f"ddpm-micro {ddpm_micro.__version__}")
    print(f"device     {device} ({why})")
    print(f"training   {precision} ({reason})")
    print(f"models     {', '.join(shipped_models()) or 'none'}")
