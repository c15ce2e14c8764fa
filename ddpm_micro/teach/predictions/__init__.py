"""The questions of the chapters, a module a chapter: what is asked before a result, and what each guess tells."""

from ddpm_micro.teach.prediction import Prediction
from ddpm_micro.teach.predictions import (
    averaging,
    bigger,
    conditional_unet,
    forward_noising,
    four_data_sets,
    images_and_noise,
    learning_to_denoise,
    sampling,
    start_here,
    training,
    your_own_images,
)

_MODULES = (
    start_here,
    images_and_noise,
    forward_noising,
    learning_to_denoise,
    conditional_unet,
    training,
    sampling,
    averaging,
    four_data_sets,
    your_own_images,
    bigger,
)
PREDICTIONS: dict[str, Prediction] = {name: one for module in _MODULES for name, one in module.PREDICTIONS.items()}
