"""All exercises, a module or two a chapter."""

from ddpm_micro.teach.exercises import (
    averaging,
    bigger,
    conditional_unet,
    forward_noising,
    four_data_sets,
    images_and_noise,
    learning_to_denoise,
    residual_block,
    sampling,
    spread,
    training,
    your_own_images,
)

# In the order of the course.
CHAPTERS = (
    images_and_noise,
    forward_noising,
    learning_to_denoise,
    conditional_unet,
    residual_block,
    training,
    sampling,
    averaging,
    spread,
    four_data_sets,
    your_own_images,
    bigger,
)
EXERCISES = {name: exercise for chapter in CHAPTERS for name, exercise in chapter.EXERCISES.items()}
