"""A step that is recorded once and repeated computes what the step itself computes."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ddpm_micro import schedule
from ddpm_micro.capture import WARM_UP, Captured
from ddpm_micro.model import Model
from ddpm_micro.noise import seeded
from ddpm_micro.objectives import objective_of
from ddpm_micro.run import Run
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.train import training_step
from ddpm_micro.unet import UNetConfig

SCHEDULE = cosine_schedule(20)


def new_run(method: str = "ddpm") -> Run:
    torch.manual_seed(0)
    prediction = "v" if method == "ddpm" else "x0"
    return Run(Model(UNetConfig(8, (1, 2), 1, (1,)), SCHEDULE, prediction=prediction, method=method))


def train(run: Run, step: Callable[..., Tensor], steps: int = WARM_UP + 4) -> list[float]:
    """Losses of steps with a new batch, a new rate and a new decay each."""
    losses = []
    for number in range(steps):
        generator = seeded(number)
        x0, cond = torch.randn(2, 2, 1, 8, 8, generator=generator)
        run.set_rates(lr=1e-2 * (number + 1), decay=number / 10)
        losses.append(step(x0, cond, *objective_of(run.model).draw(x0, cond, generator)).item())
    return losses


def replayed(step: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[Callable[[], None], Tensor]:
    """What `capture.cuda_graph` does, without a GPU: no new arguments reach the step, and one tensor has the answer."""
    output = torch.empty(())
    return lambda: output.copy_(step(*inputs)), output


@pytest.mark.parametrize("method", ["ddpm", "care", "n2v"])
def test_a_captured_step_trains_as_the_step_itself_does(method: str) -> None:
    plain, captured = new_run(method), new_run(method)
    step = Captured(partial(training_step, captured, objective_of(captured.model)), replayed)
    losses = train(plain, partial(training_step, plain, objective_of(plain.model)))
    assert train(captured, step) == losses and not step.refused and len(set(losses)) == len(losses)
    assert torch.equal(captured.average, plain.average) and torch.equal(captured.weights(), plain.weights())


def test_what_cannot_be_captured_is_called_as_it_is_and_says_why() -> None:
    def refuse(step: Callable, inputs: list[Tensor]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    step = Captured(lambda x: 2 * x, refuse)
    with pytest.warns(UserWarning, match="a step is not one graph: operation not permitted"):
        answers = [step(torch.tensor(float(number))).item() for number in range(WARM_UP + 3)]
    assert answers == [2.0 * number for number in range(WARM_UP + 3)]


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for the device: a number that Python asks for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default, "the step waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["ddpm", "care", "n2v"])
def test_a_step_does_not_wait_for_the_device(method: str, monkeypatch) -> None:
    monkeypatch.setattr(schedule, "capturing", lambda t: True)
    run, generator = new_run(method), seeded(0)
    x0, cond = torch.randn(2, 2, 1, 8, 8, generator=generator)
    objective = objective_of(run.model)
    drawn = objective.draw(x0, cond, generator)
    with NoWaiting():
        objective.loss(run.output, x0, cond, *drawn).backward()
        run.model.unet.normalize_weights_()
        run.average.copy_(run.average * run.decay + run.weights())
    monkeypatch.undo()
    if method == "ddpm":  # the check of t, which is left out while a graph is captured, does wait
        with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
            objective.loss(run.output, x0, cond, *drawn)


@pytest.mark.gpu
def test_a_graph_trains_as_the_step_itself_does() -> None:
    plain, captured = new_run(), new_run()
    with torch.cuda.stream(torch.cuda.Stream()):
        step = Captured(partial(training_step, captured, objective_of(captured.model)))

        def on_gpu(step: Callable[..., Tensor]) -> Callable[..., Tensor]:
            return lambda *inputs: step(*(value.cuda() for value in inputs))

        losses = train(plain, on_gpu(partial(training_step, plain, objective_of(plain.model))))
        assert train(captured, on_gpu(step)) == pytest.approx(losses, rel=1e-3)
    assert not step.refused
    torch.testing.assert_close(captured.average, plain.average, rtol=1e-2, atol=1e-3)
