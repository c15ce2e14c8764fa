"""Finds the one change that would make a student's function right, and tells its place but not the change itself.

What it says is true by construction: the changed function has passed every trial.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

TRIES = 600  # after which the search gives up; counted and not timed, so that a check says the same on any machine
SIGNS, SCALES = (ast.Add, ast.Sub), (ast.Mult, ast.Div)
SAME_PLACE = (
    {"mean", "sum"}, {"log", "log10", "log2"}, {"min", "max"}, {"minimum", "maximum"}, {"var", "std"}, {"cos", "sin"},
    {"flipud", "fliplr"}, {"abs", "square"}, {"exp", "log"}, {"relu", "silu"}, {"median", "mean"}, {"floor", "round"},
    {"percentile", "quantile"},
)  # fmt: skip
REDUCTIONS = ("mean", "sum", "std", "var", "median")
WRAPPERS = ("sqrt", "square", "abs", "log", "exp", "round", "silu", "int", "clamp", "clip")


def place_of_slip(student: Callable[..., Any], passes: Callable[[Callable[..., Any]], bool]) -> str | None:
    """A sentence with the line where one change is needed, and the kind of change."""
    try:
        source = textwrap.dedent(inspect.getsource(student))
        tree = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(tree, ast.FunctionDef) or any(isinstance(node, ast.While) for node in ast.walk(tree)):
        return None  # a loop whose condition is changed may never end
    tree.decorator_list = []
    for kind, near, changed in itertools.islice(_changes(tree), TRIES):
        try:
            if passes(_compiled(changed, student)):
                stop = "" if kind.endswith("?") else "."
                return f"One change makes your function right. Look at `{ast.unparse(near)[:90]}`: {kind}{stop}"
        except Exception:  # a changed line may do anything
            continue
    return None


def _compiled(tree: ast.FunctionDef, student: Callable[..., Any]) -> Callable[..., Any]:
    student = inspect.unwrap(student)
    names = dict(student.__globals__)
    for name, cell in zip(student.__code__.co_freevars, student.__closure__ or (), strict=True):
        names[name] = cell.cell_contents
    module = ast.fix_missing_locations(ast.Module([tree], []))
    exec(compile(module, "<changed>", "exec"), names)  # the student's own lines, but for one place
    return names[tree.name]


def _changes(tree: ast.FunctionDef) -> Iterator[tuple[str, ast.AST, ast.FunctionDef]]:
    """The kind of each change, the part of the source it is in, and the function so changed; the likely ones first."""
    places = [node for node in ast.walk(tree) if isinstance(node, ast.expr) and not _stored(node)]
    known = [arg.arg for arg in tree.args.args]
    known += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    known = list(dict.fromkeys(known))
    for find in (_operators, _brackets, _roots, _functions, _constants, _orders):
        for node in places:
            for kind, new in find(node):
                yield kind, node, _replaced(tree, node, new)
    yield from _axes(tree)
    for node in places:
        if isinstance(node, ast.Name) and node.id in known:
            for other in known:
                if other != node.id:
                    near = _parent(tree, node) or node
                    yield (
                        f"is `{node.id}` the name that belongs there?",
                        near,
                        _replaced(tree, node, ast.Name(other, ast.Load())),
                    )
    for node in places:
        if isinstance(node, ast.BinOp):
            for new in (node.left, node.right):
                yield "a part of it does not belong there", node, _replaced(tree, node, new)
    for node in places:
        if isinstance(node, (ast.BinOp, ast.Name, ast.Call)):
            for other in known:
                for op in (ast.Mult(), ast.Div(), ast.Add(), ast.Sub()):
                    new = ast.BinOp(node, op, ast.Name(other, ast.Load()))
                    yield f"something with `{other}` is missing there", node, _replaced(tree, node, new)


def _operators(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(node, ast.BinOp):
        return
    for family, kind in ((SIGNS, "a sign is wrong there"), (SCALES, "is it times or divided by?")):
        for op in family:
            if isinstance(node.op, family) and not isinstance(node.op, op):
                yield kind, ast.BinOp(node.left, op(), node.right)
    if isinstance(node.op, ast.FloorDiv):
        yield "// cuts off the fractions", ast.BinOp(node.left, ast.Div(), node.right)
    drops = {getattr(side, "value", None) for side in (node.left, node.right)} & {0, 1}  # n * 1 only leaves a part out
    for op, other in ((ast.Mult, ast.Add()), (ast.Add, ast.Mult())):
        if isinstance(node.op, op) and not drops:
            yield "should it be multiplied or added?", ast.BinOp(node.left, other, node.right)
    if isinstance(node.op, (ast.Sub, ast.Div)):
        yield "the two sides are the wrong way round", ast.BinOp(node.right, node.op, node.left)


def _brackets(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """(a op b) op c into a op (b op c), and back; what is in the left arm may go right too."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.left, ast.BinOp):
            inner = ast.BinOp(node.left.right, node.op, node.right)
            yield "brackets are missing or misplaced", ast.BinOp(node.left.left, node.left.op, inner)
        if isinstance(node.right, ast.BinOp):
            inner = ast.BinOp(node.left, node.op, node.right.left)
            yield "brackets are missing or misplaced", ast.BinOp(inner, node.right.op, node.right.right)
    if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.args[0], ast.BinOp):
        inside = node.args[0]
        outside = ast.Call(node.func, [inside.left], node.keywords)
        yield "brackets are missing or misplaced", ast.BinOp(outside, inside.op, inside.right)
    if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Call) and len(node.left.args) == 1:
        inside = ast.BinOp(node.left.args[0], node.op, node.right)
        yield "brackets are missing or misplaced", ast.Call(node.left.func, [inside], node.left.keywords)


def _roots(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        yield "does the power belong there?", node.left
    if isinstance(node, ast.Call):
        name = _called(node)
        inner = node.args[0] if node.args else getattr(node.func, "value", None)
        if inner is not None and name in WRAPPERS:
            yield f"does `{name}` belong there?", inner
    yield "a root is missing there", ast.BinOp(node, ast.Pow(), ast.Constant(0.5))
    yield "a square is missing there", ast.BinOp(node, ast.Pow(), ast.Constant(2))


def _functions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Call):
        return
    name = _called(node)
    for family in SAME_PLACE:
        for other in sorted(family - {name}) if name in family else ():
            func = (
                ast.Attribute(node.func.value, other, ast.Load())
                if isinstance(node.func, ast.Attribute)
                else ast.Name(other, ast.Load())
            )
            yield f"is `{name}` the function that is needed?", ast.Call(func, node.args, node.keywords)
    if name in ("std", "var"):
        others = [k for k in node.keywords if k.arg not in ("ddof", "correction")]
        for ddof in (0, 1):
            yield (
                "n or n - 1 (ddof)?",
                ast.Call(node.func, node.args, [*others, ast.keyword("ddof", ast.Constant(ddof))]),
            )
    if name in REDUCTIONS:
        yield "over which axis?", _over(node, ast.Constant(0))
        yield "over which axis?", _over(node, None)


def _axes(tree: ast.FunctionDef) -> Iterator[tuple[str, ast.AST, ast.FunctionDef]]:
    """All means and spreads of a function taken over the first axis, where it has more than one."""
    changed = copy.deepcopy(tree)
    calls = [node for node in ast.walk(changed) if isinstance(node, ast.Call) and _called(node) in REDUCTIONS]
    near = copy.deepcopy(calls[:1])
    for node in calls:
        new = _over(node, ast.Constant(0))
        node.args, node.keywords = new.args, new.keywords
    if len(calls) > 1:
        yield "over which axis? The same is wrong in each", near[0], changed


def _over(node: ast.Call, axis: ast.expr | None) -> ast.Call:
    """The same call over another axis, or over none."""
    count = 0 if isinstance(node.func, ast.Attribute) and not _of_module(node.func) else 1  # arguments before the axis
    others = [k for k in node.keywords if k.arg not in ("axis", "dim")]
    return ast.Call(node.func, node.args[:count], [*others, *([ast.keyword("axis", axis)] if axis else [])])


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _of_module(func: ast.Attribute) -> bool:
    return isinstance(func.value, ast.Name) and func.value.id in ("np", "numpy", "torch")


def _constants(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        v = node.value
        near = (-v, v + 1, v - 1, 2 * v, v / 2, 1 - v, v**0.5 if v > 0 else v, 1 / v if v else v)
        for value in (0, 1, 2, 0.5, 10, 20, math.pi, *near):
            yield f"is {v} the right number?", ast.Constant(value)
    if isinstance(node, (ast.Name, ast.BinOp, ast.Call)):
        for value in (1, 2):
            yield f"{value} must be taken off there", ast.BinOp(node, ast.Sub(), ast.Constant(value))
            yield f"{value} must be added there", ast.BinOp(node, ast.Add(), ast.Constant(value))
        yield "a factor 1/2 is missing there", ast.BinOp(node, ast.Div(), ast.Constant(2))
        yield "a factor 2 is missing there", ast.BinOp(node, ast.Mult(), ast.Constant(2))
        yield "a factor pi is missing there", ast.BinOp(node, ast.Mult(), ast.Constant(math.pi))
        yield "a factor 2 pi is missing there", ast.BinOp(node, ast.Mult(), ast.Constant(2 * math.pi))
        yield "a sign is wrong there", ast.UnaryOp(ast.USub(), node)
        yield "should it be 1 minus that?", ast.BinOp(ast.Constant(1), ast.Sub(), node)


def _orders(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call):
        for i in range(len(node.args)):
            for j in range(i):
                args = list(node.args)
                args[i], args[j] = args[j], args[i]
                yield "arguments are in the wrong order", ast.Call(node.func, args, node.keywords)
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        yield "the two are in the wrong order", ast.Tuple(node.elts[::-1], node.ctx)


def _stored(node: ast.expr) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store) and not isinstance(node, ast.Tuple)


def _parent(tree: ast.AST, node: ast.AST) -> ast.AST | None:
    for candidate in ast.walk(tree):
        if isinstance(candidate, ast.expr) and node in ast.iter_child_nodes(candidate):
            return candidate
    return None


def _replaced(tree: ast.FunctionDef, node: ast.AST, new: ast.AST) -> ast.FunctionDef:
    """A copy of the tree in which ``new`` stands in the place of ``node``."""

    class Replace(ast.NodeTransformer):
        def visit(self, here: ast.AST) -> ast.AST:
            return copy.deepcopy(new) if here is node else self.generic_visit(_shallow(here))

    return Replace().visit(tree)


def _shallow(node: ast.AST) -> ast.AST:
    """A node of its own with the same children, so that the original tree stays as it is."""
    fields = {name: list(value) if isinstance(value, list) else value for name, value in ast.iter_fields(node)}
    return ast.copy_location(type(node)(**fields), node)
