"""What the rivals are trained for: blind spots and regression."""

import pytest
import torch

from ddpm_micro.objectives import REACH, care_loss, hide, loss_weight, n2v_loss
from ddpm_micro.samplers import sample_ddim
from ddpm_micro.schedule import cosine_schedule, to_x0
from ddpm_micro.train import TrainConfig, quick_estimate

SCHEDULE = cosine_schedule(20)


def test_a_hidden_pixel_gets_the_value_of_a_near_one_never_its_own() -> None:
    cond = torch.arange(4 * 32 * 32).reshape(4, 1, 32, 32).double()  # every value tells where it came from
    seen, hidden = hide(cond, torch.Generator().manual_seed(0))
    assert 0.5 / 64 < hidden.double().mean() < 2 / 64
    assert torch.equal(seen[~hidden], cond[~hidden])
    own, came = cond[hidden].long() % 1024, seen[hidden].long() % 1024
    assert torch.equal(cond[hidden].long() // 1024, seen[hidden].long() // 1024)  # from the same image
    distances = []
    for a, b in ((own // 32, came // 32), (own % 32, came % 32)):
        distance = (a - b).abs()
        distances.append(torch.minimum(distance, 32 - distance))
    rows, columns = distances
    assert rows.max() == columns.max() == REACH
    assert ((rows > 0) | (columns > 0)).all()


def test_one_pixel_is_hidden_even_where_chance_hides_none() -> None:
    assert hide(torch.zeros(1, 1, 2, 2), torch.Generator().manual_seed(0))[1].any()


def test_the_best_blind_guess_is_the_signal_and_not_the_noisy_pixel() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = 0.5 + 0.2 * torch.randn(4, 1, 64, 64, generator=generator)
    masked = hide(noisy, torch.Generator().manual_seed(1))

    def at(answer) -> float:
        return n2v_loss(lambda x_t, t, cond: answer(cond), SCHEDULE, noisy, *masked).item()

    # The loss of the clean signal is the variance of the noise; that of what the network sees is twice as much.
    assert at(lambda cond: torch.full_like(cond, 0.5)) == pytest.approx(0.04, rel=0.2)
    assert at(lambda cond: cond) == pytest.approx(0.08, rel=0.2)


def test_regression_compares_with_the_clean_image() -> None:
    x0, cond = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 3.0)
    assert care_loss(lambda x_t, t, cond: cond, SCHEDULE, x0, cond).item() == 9


def test_an_error_of_v_counts_half_way_between_v_and_x0() -> None:
    """Half-way in the exponent: the square of the weight is what an error of v does to x0, squared."""
    t, nothing = torch.tensor([0, 7, 19]), torch.zeros(3, 1, 1, 1, dtype=torch.float64)
    error_of_x0 = to_x0(SCHEDULE, torch.ones_like(nothing), nothing, t, "v").square()
    torch.testing.assert_close(loss_weight(SCHEDULE, "v", t).square(), error_of_x0)
    assert (loss_weight(SCHEDULE, "eps", t) == 1).all()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="ddpm, care, n2v, got 'gan'"):
        TrainConfig(method="gan")


def test_the_estimate_for_validation_holds_no_noise_where_the_sampler_is_affine() -> None:
    def affine(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return 0.6 * x_t + 0.3 * cond

    cond = torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64)
    one = sample_ddim(affine, SCHEDULE, cond, steps=5, generator=torch.Generator().manual_seed(0))
    estimate = quick_estimate(affine, SCHEDULE, "ddpm", cond)
    assert one.std() > 0.01  # noise goes in, and some comes out; it is gone in the mean with the opposite
    torch.testing.assert_close(estimate, estimate.mean().expand_as(estimate), rtol=0, atol=1e-12)
    assert estimate.mean().item() == pytest.approx(one.mean().item(), abs=0.1)
