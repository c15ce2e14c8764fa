"""The shipped models draw the samples that they have always drawn, whatever is tidied up around them."""

import json
from pathlib import Path

import numpy as np
import pytest

from ddpm_micro.checkpoint import load_model, shipped_models
from ddpm_micro.restore import restore

REFERENCE = Path(__file__).with_name("shipped_samples.json")


def drawn(name: str) -> np.ndarray:
    """Every sixth pixel of two samples of one image, which has spots of two sizes, a slope and noise."""
    rng = np.random.default_rng(7)
    row, column = np.mgrid[:48, :48]
    image = 20 + 0.3 * column
    for y, x, sd in rng.uniform((4, 4, 1.5), (44, 44, 4), (9, 3)):
        image = image + 60 * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sd**2))
    low = rng.poisson(image).astype(np.float32)
    result = restore(load_model(name), low, samples=2, steps=4, seed=3, keep_samples=True, progress=False)
    return result.samples[:, ::6, ::6]


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_draws_the_samples_that_it_always_drew(name):
    """The reference was written before the package was rearranged: python tests/test_shipped_samples.py renews it."""
    expected = np.array(json.loads(REFERENCE.read_text("utf-8"))[name])
    np.testing.assert_allclose(drawn(name), expected, atol=0.02)  # grey levels, of a range of about 100


if __name__ == "__main__":
    samples = {name: np.round(drawn(name).astype(float), 3).tolist() for name in shipped_models()}
    REFERENCE.write_text(json.dumps(samples) + "\n", "utf-8")
