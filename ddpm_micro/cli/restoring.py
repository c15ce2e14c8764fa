"""How ``ddpm-micro restore`` restores one file: its planes, what is written beside the mean, and what is told of it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ddpm_micro.cli.options import check_output

if TYPE_CHECKING:
    import numpy as np

    from ddpm_micro.model import Model

BESIDE = {  # what may be written beside OUT.tif, or is removed there if it belongs to an earlier result
    "std": "their standard deviation",
    "error": "the error to be expected",
    "lower": "lower bound of the interval",
    "upper": "upper bound of the interval",
    "residual": "what was removed, in units of its noise",
}
DRAWING = ("samples", "antithetic", "sampler", "steps")


def beside(path: Path) -> dict[str, Path]:
    """Where the images beside a mean belong: OUT.std.tif and so on."""
    stem, ending = re.fullmatch(r"(.*?)((?:\.ome)?\.\w+)", path.name).groups()
    return {name: path.with_name(f"{stem}.{name}{ending}") for name in BESIDE}


class Restorer:
    """Restores files, one after the other. The model is loaded once, when the first file has been found good."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.once = arguments.one_call  # whether the network is asked once and no samples are drawn

    @cached_property
    def model(self) -> Model:
        from ddpm_micro.checkpoint import load_model

        model = load_model(self.arguments.model)
        self.once |= model.method != "ddpm"
        return model

    @cached_property
    def precision(self) -> str:
        """In how many bits the network computes; said if it is not float32."""
        from ddpm_micro.device import choose_device, choose_precision

        precision, why = choose_precision(choose_device()[0], {"float32": "no"}.get(self.arguments.precision, "auto"))
        if precision != "no":
            self.say(f"ddpm-micro: computing in {precision}: {why}; or choose --precision float32", sys.stderr)
        return precision

    def restore(self, source: Path, target: Path) -> None:
        """Restore one file. All that is written of it appears together when its planes are done, or not at all."""
        import numpy as np
        from tqdm import tqdm

        from ddpm_micro import files
        from ddpm_micro.device import autocast

        places, checks, begun = beside(target), {}, files.state(target) == "begun"
        for path in (target, *places.values()):  # nothing old may stay beside a new mean
            if (path.exists() and path.samefile(source)) or source.resolve() in path.resolve().parents:
                raise ValueError(f"expected another file for the result, got the input {source}")
            if not begun:  # else it is told when the result is opened whether it is this run's
                check_output(path, self.arguments.overwrite)
        with files.opened(source) as planes:
            numbers, about = planes.of_channel(self.arguments.channel)
            names, remarks = self.plan()
            for turn in (0, 1):  # the first process makes the files, then the others join
                if (self.rank > 0) == turn:
                    paths = [target, *(places[name] for name in names)]
                    options = {"first": self.rank == 0, "overwrite": self.arguments.overwrite}
                    results = files.results_at(paths, about, self.key(source), **options)
                self.wait()
            samples = 1 if self.once else self.arguments.samples
            size = self.model.planes_at_once(about.shape[-2:], self.arguments.tile, samples)
            blocks = dict.fromkeys(number // size for number in results.todo())
            todo = [block for block in blocks if block % self.world == self.rank]
            shown = self.rank == 0 and sys.stderr.isatty()
            alone = shown and len(numbers) == 1  # then there is a bar of samples instead of one of planes
            with results.kept_if_begun():
                for block in tqdm(todo, desc=source.name, unit="plane", unit_scale=size, disable=alone or not shown):
                    first = block * size
                    if all(results.done(number) for number in range(first, min(first + size, len(numbers)))):
                        continue  # by another computer, in the meantime
                    stack = np.stack([planes[number] for number in numbers[first : first + size]])
                    with autocast(self.precision):
                        found = self.estimate(stack, first, progress=alone)
                    for number, plane in enumerate(stack, start=first):
                        images = {name: image[number - first] for name, image in found.items() if image is not None}
                        checks[number] = self.residual(plane, images)
                        results.put(number, *(images[name] for name in ("mean", *names)))
                self.wait()
                if self.rank == 0:
                    results.publish(overwrite=self.arguments.overwrite)
                    for name in BESIDE.keys() - set(names):
                        files.remove(places[name])  # of an earlier result
        for note in about.notes:
            self.say(f"ddpm-micro: {source}: {note}", sys.stderr)
        once = f"the answer of a {self.model.method} network, asked once"
        what = "one sample" if self.arguments.samples == 1 else f"mean of {self.arguments.samples} samples"
        self.say(f"{target}: {once if self.once else what}")
        for line in [*(f"{places[name]}: {BESIDE[name]}" for name in names), *remarks, *self.told(checks)]:
            self.say(line)

    def plan(self) -> tuple[list[str], list[str]]:
        """What is written beside the mean, and what is to be said of it; what cannot be had is told before any work."""
        from ddpm_micro.calibrate import why_no_error
        from ddpm_micro.restore import draw_settings

        model, names, remarks, interval = self.model, [], [], self.arguments.interval
        if self.once and interval:
            raise ValueError("expected samples for --interval, got one answer of the network; leave --one-call out")
        if not self.once:
            why = why_no_error(model.calibration, draw_settings(model, **self.options(*DRAWING)))
            if interval:
                if why:
                    raise ValueError(f"no --interval: {why}")
                model.calibration.factor(interval)
            if self.arguments.samples > 1:
                names = ["std"] + ["error"] * (why is None) + ["lower", "upper"] * bool(interval)
                remarks = [f"note: {why}"] if why else []
        return names + ["residual"] * self.arguments.residual, remarks

    def options(self, *names: str) -> dict:
        return {name: getattr(self.arguments, name) for name in names}

    def key(self, source: Path) -> str:
        """What the result follows from: a run that was stopped goes on only with the same."""
        others = ("run", "overwrite", "input", "output")  # another computer may have other paths
        options = {key: value for key, value in vars(self.arguments).items() if key not in others}
        about = next(path for name in ("zarr.json", ".zattrs", "") if (path := source / name).exists()).stat()
        options |= {"bits": self.precision, "model": self.model.fingerprint()}
        return f"{options} {source.name} {about.st_size} {about.st_mtime_ns}"

    def say(self, text: str, file: TextIO | None = None) -> None:
        if self.rank == 0:
            print(text, file=file)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            from ddpm_micro.device import processes

            processes().wait_for_everyone()

    def estimate(self, stack: np.ndarray, first: int, *, progress: bool) -> dict[str, np.ndarray | None]:
        """The mean of some planes, of which ``first`` is the first, and, if samples are drawn, its expected error."""
        import numpy as np

        from ddpm_micro.restore import restore

        constant = stack.min(axis=(1, 2)) == stack.max(axis=(1, 2))  # nothing to restore
        if constant.all():
            self.model.planes(stack)  # but grey levels that no result can hold are refused all the same
            images = dict.fromkeys(("mean", "std", "error", "lower", "upper"), stack)
        elif self.once:
            images = {"mean": self.model.posterior_mean(stack, **self.options("seed", "tile"))}
        else:
            found = restore(self.model, stack, plane=first, progress=progress, **self.options("seed", "tile", *DRAWING))
            images = {"mean": found.mean, "std": found.std, "error": found.error}
            if self.arguments.interval:
                images["lower"], images["upper"] = found.interval(self.arguments.interval)
        kept, constant = {"std": 0 * stack, "error": 0 * stack}, constant[:, None, None]
        return {
            name: image if image is None else np.where(constant, kept.get(name, stack), image)
            for name, image in images.items()
        }

    def residual(self, plane: np.ndarray, images: dict[str, np.ndarray]) -> tuple[float, str] | None:
        """What the residual check says of a plane; with ``--residual`` it adds the map to the images."""
        from ddpm_micro.residual import WINDOW, error_map

        check, low, high = self.model.residual_check, plane.astype(float), images["mean"].astype(float)
        if self.arguments.residual:
            images["residual"] = error_map(low, high)
        if check is None or not check.applies or min(plane.shape) < WINDOW:
            return None
        scaling = self.model.percentiles.fit(plane)
        return check.number(scaling.apply(low), scaling.apply(high))

    def told(self, checks: dict[int, tuple[float, str] | None]) -> Iterator[str]:
        """The residual check of each plane, or of the worst one."""
        check, known = self.model.residual_check, {plane: found for plane, found in checks.items() if found}
        if check and not check.applies:
            yield "residual check: does not apply, since this model's result is sharper than the frame"
        for plane in known if self.arguments.residual else sorted(known, key=lambda plane: -known[plane][0])[:1]:
            value, sign = known[plane]
            alarm = f": ALARM, {sign}" if value > check.threshold else ""
            yield f"residual check: plane {plane} has {value:.2f}, alarm above {check.threshold:.2f}{alarm}"
