"""Exceptions of a student's function in words: where it stopped, and what the message of Python or PyTorch means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

MEANINGS = (  # (pattern of "Type: message", what it means)
    (r"size of tensor|could not be broadcast|shapes? .*(mismatch|cannot be multiplied)|must match the existing",
     "Shapes do not fit"),
    (r"bitwise_xor|unsupported operand type\(s\) for \^", "^ is no power in Python; write **"),
    (r"truth value of an array|Boolean value of Tensor",
     "`if`, `min()` and `max()` take one value and here is a whole array; use np.where, np.minimum or np.maximum"),
    (r"converted to Python scalars|can be converted to (a )?(Python )?scalar|0-dimensional arrays",
     "`math`, `float` and `int` take one number and here are several; use the functions of torch or np"),
    (r"'method' object is not subscriptable", "a method is called with round brackets: f(t), not f[t]"),
    (r"Cannot cast ufunc", "an array of whole numbers cannot be changed in place (+=) to fractions; write a = a + b"),
    (r"unsupported operand type\(s\) for .*'list'", "a list takes no arithmetic; loop over it, or np.array(...) it"),
    (r"(must be|expected) Tensor.*numpy|Tensor, not numpy|'numpy.ndarray' object has no attribute",
     "here is a NumPy array and not a tensor; use the functions of np"),
    (r"'Tensor' object has no attribute 'alpha_bar'|expected integer t in",
     "are the arguments of this call in their order? A function of the schedule takes schedule, t, then the image"),
    (r"NameError|UnboundLocalError", "this name is neither an argument nor defined before this line"),
    (r"expected s < t", "a step goes from t to an earlier time; are the two times of this call in their order?"),
    (r"missing \d+ required positional argument", "this call lacks an argument"),
)  # fmt: skip


def explain(error: Exception, student: Callable[..., Any], names: list[str]) -> str:
    """One or two sentences: the line, the meaning, and for shapes which name has which."""
    told = " ".join(f"{type(error).__name__}: {error}".split())
    frames = []
    trace, code = error.__traceback__, getattr(inspect.unwrap(student), "__code__", None)
    while trace:
        if trace.tb_frame.f_code is code:
            frames.append(trace)
        trace = trace.tb_next
    if not frames and isinstance(error, TypeError) and "argument" in told:
        return f"Your function must take {len(names)} arguments, {', '.join(names)}, and does not. {told[:80]}"
    meaning = next((words for pattern, words in MEANINGS if re.search(pattern, told)), "")
    line, shapes = "", ""
    if frames:
        line = _line(student, frames[-1].tb_lineno)
        if meaning == "Shapes do not fit" and frames[-1].tb_next:
            shapes = ", in a function that this line calls; are its arguments in their order?"
        elif meaning == "Shapes do not fit":
            shapes = _shapes(frames[-1].tb_frame.f_locals, line)
    where = f" in `{line[:70]}`" if line else ""
    if meaning:
        meaning = f": {meaning}{shapes}"
    return f"Your function stopped{where}{meaning or ' with ' + told[:120]}" + (
        f" ({told[:70]})" if meaning and not shapes else "."
    )


def _line(student: Callable[..., Any], number: int) -> str:
    try:
        lines, first = inspect.getsourcelines(student)
        return lines[number - first].strip()
    except (OSError, TypeError, IndexError):
        return ""


def _shapes(values: dict[str, Any], line: str) -> str:
    """The shapes of the names in a line, and what to do where a number an item meets images."""
    seen = {
        name: tuple(values[name].shape)
        for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", line))
        if hasattr(values.get(name), "shape")
    }
    words = ", ".join(f"{name} {shape}" for name, shape in list(seen.items())[:4])
    if len(set(seen.values())) == 1:
        return ""
    dims = {len(shape) for shape in seen.values()}
    if {1, 4} <= dims:
        name = next(name for name, shape in seen.items() if len(shape) == 1)
        words += f". One number an item must be shaped to multiply images: {name}.reshape(-1, 1, 1, 1)"
    elif dims == {1} and len(set(seen.values())) > 1:
        name = next(iter(seen))
        words += f". Give one of them a second axis: {name}[:, None]"
    return f": {words}" if words else ""
