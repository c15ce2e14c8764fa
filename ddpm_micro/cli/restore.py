"""``ddpm-micro restore``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ddpm_micro.choices import LEVELS, SAMPLERS
from ddpm_micro.cli.options import check_output, default_of, model_and_samples, number, overwrite

if TYPE_CHECKING:
    import numpy as np

    from ddpm_micro.files.tiff import Description, Planes
    from ddpm_micro.model import Model

HELP = "restore a TIFF or a folder of them: writes the mean of K samples, and their standard deviation as OUT.std.tif"
BESIDE = {  # what may be written beside OUT.tif, or is removed there if it belongs to an earlier result
    "std": "their standard deviation",
    "error": "the error to be expected",
    "lower": "lower bound of the interval",
    "upper": "upper bound of the interval",
    "residual": "what was removed, in units of its noise",
}
DRAWING = ("samples", "antithetic", "sampler", "steps")
SUFFIXES = (".tif", ".tiff", ".stk", ".lsm")


def add_options(to: argparse.ArgumentParser) -> None:
    text = "an image, or a stack with any of time, depth and channels; or a folder of them"
    to.add_argument("input", type=Path, metavar="IN", help=text)
    text = "OUT.tif, float32, in the grey levels and with the axes, channels and scale of IN; a folder if IN is one"
    to.add_argument("output", type=Path, metavar="OUT", help=text)
    model_and_samples(to, 8)  # as the shipped models are calibrated
    text = "write the network's one answer, the mean it estimates at once: the fastest way, without a deviation; "
    to.add_argument("--one-call", action="store_true", help=text + "models trained as care or n2v always do this")
    number(to, "--channel", int, None, "restore this channel alone, counted from 1; if not given, all of them")
    to.add_argument(
        "--sampler", choices=SAMPLERS, default=default_of("restore", "restore", "sampler"), help="sampling method"
    )
    steps = {name: default_of("samplers", f"sample_{name}", "steps") or "all" for name in SAMPLERS}
    text = "network calls per sample; if not given, " + ", ".join(f"{n} for {name}" for name, n in steps.items())
    number(to, "--steps", int, None, text)
    text = "draw samples in pairs from opposite noise: the mean of 2 is about as good as the mean of dozens"
    to.add_argument("--antithetic", action=argparse.BooleanOptionalAction, default=True, help=text)
    number(to, "--seed", int, 0, "start of the random numbers; the same seed gives the same samples")
    text = f"side in pixels of the windows the network sees; if not given, {default_of('model', 'AUTO_TILE')}"
    number(to, "--tile", int, None, text)
    text = "write OUT.lower.tif and OUT.upper.tif, which hold so many per cent of the truth (calibrated models only)"
    to.add_argument("--interval", type=int, choices=LEVELS, help=text)
    text = "write OUT.residual.tif, what was removed in units of its noise, and tell the residual check of every plane"
    to.add_argument("--residual", action="store_true", help=text)
    overwrite(to)


def run(arguments: argparse.Namespace) -> None:
    """Restore a file, or each file of a folder, where a bad one costs only itself."""
    source, target = arguments.input, arguments.output
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder; check the name")
    job = _Job(arguments)
    if not source.is_dir():
        if target.suffix.lower() not in (".tif", ".tiff"):
            raise ValueError(f"expected an output that ends in .tif, got {target.name}")
        for path in (target, *_beside(target).values()):  # nothing old may stay beside a new mean
            check_output(path, arguments.overwrite)
        job.restore(source, target)
        return
    files = sorted(path for path in source.glob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"expected TIFF files in {source}, found none")
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        raise ValueError(f"expected another folder for the results, got {target}")
    target.mkdir(parents=True, exist_ok=True)
    _restore_all(job, files, target, arguments.overwrite)


def _restore_all(job: _Job, files: list[Path], target: Path, overwrite: bool) -> None:
    """Restore each file into the folder ``target``; what went wrong is told at the end."""
    faults = []
    for file in files:
        output = target / (file.name if file.suffix.lower() in (".tif", ".tiff") else file.name + ".tif")
        if output.exists() and not overwrite:
            job.say(f"{output}: is there already")
            continue
        try:
            job.restore(file, output)
        except (ValueError, OSError) as error:
            faults.append(" ".join(str(error).split()))
    for fault in faults:
        job.say(f"ddpm-micro: {fault}", sys.stderr)
    if faults:
        raise ValueError(f"{len(faults)} of {len(files)} files could not be restored")


@dataclass
class _Job:
    """What is done with each file; the model is loaded once, when the first file has been found good."""

    arguments: argparse.Namespace
    rank: int = int(os.environ.get("RANK", 0))
    world: int = int(os.environ.get("WORLD_SIZE", 1))
    warned: set[str] = field(default_factory=set)

    @cached_property
    def model(self) -> Model:
        from ddpm_micro.checkpoint import load_model

        return load_model(self.arguments.model)

    def restore(self, source: Path, target: Path) -> None:
        """Restore one file and tell its warnings, each kind once; of a file that fails the error alone is told."""
        with _warnings() as found:
            self._restore(source, target)
        for kind in found.keys() - self.warned:
            print(f"ddpm-micro: {found[kind]}", file=sys.stderr)
        self.warned |= found.keys()

    def _restore(self, source: Path, target: Path) -> None:
        """All that is written of it appears together when its planes are done, or not at all."""
        from tqdm import tqdm

        from ddpm_micro.files import tiff
        from ddpm_micro.files.output import Results

        beside = _beside(target)
        for path in (target, *beside.values()):
            if path.exists() and path.samefile(source):
                raise ValueError(f"expected another file for the result, got the input {source}")
        with tiff.opened(source) as planes:
            numbers, about = _chosen(planes, self.arguments.channel)
            names, remarks = self.plan()
            paths = [target, *(beside[name] for name in names)]
            for turn in (0, 1):  # the first process makes the files, then the others join
                if (self.rank > 0) == turn:
                    results = Results(paths, about, self.key(source), first=self.rank == 0)
                self.wait()
            todo = [number for number in results.todo() if number % self.world == self.rank]
            alone, checks = len(numbers) == 1, {}
            bar = tqdm(todo, desc=source.name, unit="plane", disable=alone or self.rank > 0 or not sys.stderr.isatty())
            with results.kept_if_begun():
                for number in bar:
                    plane = planes[numbers[number]]
                    images = self.estimate(plane, number, alone)
                    checks[number] = self.residual(plane, images)
                    results.put(number, *(images[name] for name in ("mean", *names)))
                self.wait()
                if self.rank == 0:
                    results.publish(overwrite=self.arguments.overwrite)
                    for name in BESIDE.keys() - set(names):
                        beside[name].unlink(missing_ok=True)  # of an earlier result
            for note in about.notes:
                self.say(f"ddpm-micro: {source}: {note}", sys.stderr)
        once = f"the answer of a {self.model.method} network, asked once"
        what = "one sample" if self.arguments.samples == 1 else f"mean of {self.arguments.samples} samples"
        self.say(f"{target}: {once if self.once else what}")
        for line in [*(f"{beside[name]}: {BESIDE[name]}" for name in names), *remarks, *self.told(checks)]:
            self.say(line)

    @property
    def once(self) -> bool:
        """Whether the network is asked once and no samples are drawn."""
        return self.arguments.one_call or self.model.method != "ddpm"

    def plan(self) -> tuple[list[str], list[str]]:
        """What is written beside the mean, and what is to be said of it; what cannot be had is told before any work."""
        from ddpm_micro.calibrate import why_no_error
        from ddpm_micro.restore import draw_settings

        names, remarks, interval = [], [], self.arguments.interval
        if self.once and interval:
            raise ValueError("expected samples for --interval, got one answer of the network; leave --one-call out")
        if not self.once:
            why = why_no_error(self.model.calibration, draw_settings(self.model, **self.options(*DRAWING)))
            if interval:
                if why:
                    raise ValueError(f"no --interval: {why}")
                self.model.calibration.factor(interval)
            if self.arguments.samples > 1:
                names = ["std"] + ["error"] * (why is None) + ["lower", "upper"] * bool(interval)
                remarks = [f"note: {why}"] if why else []
        return names + ["residual"] * self.arguments.residual, remarks

    def options(self, *names: str) -> dict:
        return {name: getattr(self.arguments, name) for name in names}

    def key(self, source: Path) -> str:
        """What the result follows from: a run that was stopped goes on only with the same."""
        options = {key: value for key, value in vars(self.arguments).items() if key not in ("run", "overwrite")}
        return f"{options} {self.model.fingerprint()} {source.stat().st_size} {source.stat().st_mtime_ns}"

    def say(self, text: str, file: TextIO | None = None) -> None:
        if self.rank == 0:
            print(text, file=file)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            from ddpm_micro.device import processes

            processes().wait_for_everyone()

    def estimate(self, plane: np.ndarray, number: int, alone: bool) -> dict[str, np.ndarray]:
        """The mean and, if samples are drawn, what they tell of its error."""
        import numpy as np

        from ddpm_micro.restore import restore

        if plane.min() == plane.max():  # nothing to restore
            self.model.planes(plane)  # but grey levels that no result can hold are refused all the same
            return dict.fromkeys(("mean", "lower", "upper"), plane) | dict.fromkeys(
                ("std", "error"), np.zeros_like(plane)
            )
        if self.once:
            return {"mean": self.model.posterior_mean(plane, **self.options("seed", "tile"))}
        options = self.options("seed", "tile", *DRAWING) | {"progress": alone and sys.stderr.isatty()}
        found = restore(self.model, plane, plane=number, **options)
        images = {"mean": found.mean, "std": found.std, "error": found.error}
        if self.arguments.interval:
            images["lower"], images["upper"] = found.interval(self.arguments.interval)
        return images

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


def _beside(path: Path) -> dict[str, Path]:
    return {name: path.with_suffix(f".{name}{path.suffix}") for name in BESIDE}


def _chosen(planes: Planes, channel: int | None) -> tuple[list[int], Description]:
    """The numbers of the planes to restore, and what the result is to say of them."""
    import numpy as np

    about = planes.about
    if channel is None:
        return list(range(len(planes))), about
    axis = about.axes.find("C")
    channels = about.shape[axis] if axis >= 0 else 1
    if not 1 <= channel <= channels:
        raise ValueError(f"expected --channel of 1 to {channels}, got {channel}")
    if axis < 0:
        return list(range(len(planes))), about
    numbers = np.arange(len(planes)).reshape(about.shape[:-2]).take(channel - 1, axis)
    axes, shape = about.axes.replace("C", ""), about.shape[:axis] + about.shape[axis + 1 :]
    labels = about.metadata.get("Labels", [])
    metadata = {"Labels": [labels[i] for i in numbers.flat]} if len(labels) == len(planes) else {}
    if names := about.metadata.get("Channel", {}).get("Name"):
        metadata = {"Channel": {"Name": names[channel - 1 : channel]}}
    return numbers.ravel().tolist(), replace(about, axes=axes, shape=shape, metadata=metadata)


@contextmanager
def _warnings() -> Iterator[dict[str, str]]:
    """Collect the warnings of the package, by kind: the text for the first plane that each concerns."""
    found: dict[str, str] = {}

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.setdefault(record.msg, record.getMessage())

    log, handler = logging.getLogger("ddpm_micro"), Collect(logging.WARNING)
    log.addHandler(handler)
    try:
        yield found
    finally:
        log.removeHandler(handler)
