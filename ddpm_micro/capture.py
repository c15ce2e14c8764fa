"""A training step as one CUDA graph: the GPU repeats it without waiting for the host to start each operation.

Restoring is not captured. An image takes some ten calls of one shape, of which the first few warm up; and a graph that
is kept for the next image would hold memory for each shape, and go on with old weights after the model has moved.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3  # calls before the capture, in which PyTorch and cuDNN allocate and choose what they use afterwards

Step = Callable[..., Tensor]  # tensors in, a tensor out; whatever else it changes lies in tensors too


def cuda_graph(step: Step, inputs: list[Tensor]) -> tuple[Callable[[], Any], Tensor]:
    """Record what ``step`` does with these inputs; returns what repeats it, and where its answer lies."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = step(*inputs)
    return graph.replay, output


class Captured:
    """``step``, which is called as it is at first, then recorded once and repeated.

    A graph knows addresses and no values: each call copies its inputs to where the recorded call found them. All calls
    have inputs of the same shapes. Recording computes nothing, so that the call that records repeats right away.
    ``step`` must not wait for the device, nor draw random numbers; ``record`` does what `cuda_graph` does.
    """

    def __init__(self, step: Step, record: Callable = cuda_graph) -> None:
        self.step, self.record, self.calls = step, record, 0
        self.refused = ""  # why the step could not be recorded and is called as it is

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.calls += 1
        if self.calls <= WARM_UP or self.refused:
            return self.step(*inputs)
        if self.calls == WARM_UP + 1:
            self.inputs = [value.clone() for value in inputs]
            try:
                self.repeat, self.output = self.record(self.step, self.inputs)
            except RuntimeError as error:
                self.refused = " ".join(str(error).split())[:100]
                warnings.warn(f"a step is not one graph: {self.refused}", stacklevel=2)
                return self.step(*inputs)
        for kept, value in zip(self.inputs, inputs, strict=True):
            kept.copy_(value)
        self.repeat()
        return self.output
