"""``ddpm-micro export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ddpm_micro.cli.options import check_output, overwrite

HELP = "write a model as a package of the BioImage Model Zoo, for Fiji and other programs"


def add_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("model", metavar="MODEL", help="a shipped model, a .safetensors file, or the folder train wrote")
    to.add_argument("output", type=Path, metavar="OUT.zip", help="one call of the network, as ONNX and as TorchScript")
    to.add_argument("--network-values", action="store_true", help="no scaling of grey levels, for programs with tiles")
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    check_output(arguments.output, arguments.overwrite)
    if arguments.output.suffix != ".zip":
        raise ValueError(f"expected a name that ends in .zip, got {arguments.output.name}")
    from ddpm_micro.checkpoint import load_model
    from ddpm_micro.export import export

    model, name = load_model(arguments.model), Path(arguments.model).stem
    export(model, arguments.output, name=name, scaling=not arguments.network_values, overwrite=arguments.overwrite)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")
