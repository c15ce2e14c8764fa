"""The questions of the chapters, a module a chapter: what is asked before a result, and what each guess tells."""

from ddpm_micro.teach.prediction import Prediction
from ddpm_micro.teach.predictions import (
    forward_noising,
    images_and_noise,
    learning_to_denoise,
    start_here,
)

_MODULES = (
    start_here,
    images_and_noise,
    forward_noising,
    learning_to_denoise,
)
PREDICTIONS: dict[str, Prediction] = {name: one for module in _MODULES for name, one in module.PREDICTIONS.items()}
