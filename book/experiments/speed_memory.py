"""The memory that ``ddpm-micro restore`` takes: stacks of two lengths, and a frame of a large camera.

    python book/experiments/speed_memory.py restore IN.tif OUT.tif ...

runs a command and prints its peak at the end; `peak_of_restoring` is a part of ``speed.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from ddpm_micro import cli

SHAPES = {"4 planes of 256 px": (4, 256, 256), "40 planes of 256 px": (40, 256, 256), "2048 px": (2048, 2048)}


def peak_of_restoring(tiny: bool = False) -> dict[str, int]:
    """MB of resident memory at the peak of a process, for an image of each shape: a pair in one step, on the CPU."""
    shapes = {"1 plane": (32, 32), "3 planes": (3, 32, 32)} if tiny else SHAPES
    with tempfile.TemporaryDirectory() as folder:
        return {name: restored(Path(folder), shape) for name, shape in shapes.items()}


def restored(folder: Path, shape: tuple[int, ...]) -> int:
    """MB that restoring an image of this shape takes at most."""
    tifffile.imwrite(
        folder / "low.tif", np.random.default_rng(0).poisson(30, shape).astype(np.uint16), photometric="minisblack"
    )
    options = ["--model", "zebrafish", "--samples", "2", "--steps", "1", "--overwrite"]
    command = [sys.executable, __file__, "restore", str(folder / "low.tif"), str(folder / "out.tif"), *options]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    code = cli.main(sys.argv[1:])
    # Not getrusage, in which a process starts with what its parent takes.
    kilobytes = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]
    print(round(int(kilobytes) / 1000))
    sys.exit(code)
