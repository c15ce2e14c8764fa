"""Names that a user can choose from. They stand here, where no library is loaded, so that a command starts at once."""

import difflib
from collections.abc import Iterable

SETS = ("microtubules", "mitochondria", "synapses", "zebrafish", "mixture")  # see `ddpm_micro.simulate`
SAMPLERS = ("dpmpp_2m", "ddim", "ddpm")  # see `ddpm_micro.samplers`
METHODS = ("ddpm", "care", "n2v")  # what a network is trained for: to draw samples, or to answer at once
PREDICTIONS = ("eps", "v", "x0")  # what the network of a diffusion model returns, see `ddpm_micro.schedule`
LEVELS = (50, 80, 90, 95)  # per cent of the truth that an interval can be asked to hold, see `ddpm_micro.calibrate`


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: a question with the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
