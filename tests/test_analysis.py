"""What is counted in restored images: drawn objects for the pipelines, the high image for the noise-free one."""

import analysis
import numpy as np
import pytest
from analysis_pipelines import PIPELINES, same_cells, same_lines, same_points
from scipy.ndimage import gaussian_filter

from ddpm_micro import simulate


def test_points_have_one_partner_each() -> None:
    truth = np.array([[10, 10], [20, 20], [30, 30]])
    assert same_points(truth, truth + 1) == 1  # nearer than two pixels
    assert same_points(truth, np.array([[10, 10], [10, 11]])) == pytest.approx(2 / 5)  # one partner for two
    assert same_points(truth, np.empty((0, 2))) == 0


def test_each_pipeline_finds_what_was_drawn() -> None:
    image = np.zeros((64, 64))
    image[[10, 30, 50], [12, 40, 20]] = 1
    spots = gaussian_filter(image, 1.2)
    assert same_points(np.argwhere(image), PIPELINES["synapses"].find(spots, 0.7, 0.3)) == 1
    line = np.zeros((64, 64))
    line[32, 5:59] = 1
    assert same_lines(line > 0, PIPELINES["microtubules"].find(gaussian_filter(line, 1.2), 1.5, 0.5)) > 0.95
    square = np.zeros((64, 64), bool)
    square[20:40, 10:50] = True
    found = PIPELINES["mitochondria"].find(square.astype(float), 0.7, 0.5)
    assert PIPELINES["mitochondria"].score(square, found) > 0.97
    walls = np.zeros((64, 64))
    walls[:, [0, 31, 63]] = walls[[0, 31, 63]] = 1
    quarters = 1 + (np.arange(64)[:, None] > 31) * 2 + (np.arange(64) > 31)
    cells = PIPELINES["zebrafish"].find(gaussian_filter(walls, 1), 1.0, 0.1)
    assert cells.max() == 4 and same_cells(quarters, cells) == 1


@pytest.mark.parametrize("name", ["synapses", "microtubules"])
def test_the_noise_free_image_is_what_the_high_one_scatters_about(name: str) -> None:
    high = simulate.split(name, "val").high[1].astype(float)
    expected = analysis.noise_free(name, 1, 1)
    rounding = 1  # grey level
    assert abs((high - expected).mean()) < 0.05 * rounding + 0.01 * expected.mean()
    assert np.corrcoef(high.ravel(), expected.ravel())[0, 1] > 0.9


def test_samples_that_straddle_the_truth_hold_it_and_others_do_not() -> None:
    count = analysis.Pipeline(lambda image, *setting: image, lambda truth, found: 1.0, {"number": np.sum}, (0, 0))
    truths = [np.full((2, 2), 1.0)] * 2
    images = np.stack([np.stack([t * 0.9, t * 1.2]) for t in truths])
    images[1] *= 2
    out = analysis.scored(count, truths, images, (0, 0))
    assert (out["number"]["held"], out["number"]["of"]) == (1, 2)
    assert out["number"]["bias"] == pytest.approx(100 * (1.05 + 2.1) / 2 - 100, abs=0.1)
