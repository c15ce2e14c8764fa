"""Every chapter as the build of the book ran it: solved afterwards, it passes its checks, and it keeps its budget.

`make book` runs each chapter as it stands, then its exercises with the package's answers, and keeps what came of both
(book/_ext/chapters.py). So nothing runs twice: what follows an exercise never asks the reader's function.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import chapters
import nbformat
import offline
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleOut

from ddpm_micro.teach import checks

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MIB, MINUTES, CORES = 2048, 3, 2  # what a chapter may take: the memory of a free Binder, and two cores for a while
COLUMNS = 77  # characters across the book's column on a laptop; sentences wrap, tables cannot
TABLE = re.compile(r"\S {2,}\S.* {2,}\S")  # a line with two gaps


def sources(path: Path) -> list[str]:
    return [cell.source for cell in chapters.code_cells(nbformat.read(path, as_version=4))]


def kept(path: Path) -> CacheBundleOut:
    """What the build of the book kept of a chapter."""
    cache = get_cache(offline.cache_folder())
    try:
        record = cache.match_cache_notebook(nbformat.read(path, as_version=4))
    except KeyError:
        pytest.skip("the chapters' outputs wanted, of the package as it is now: make book")
    return cache.get_cache_bundle(record.pk)


def test_each_exercise_is_in_a_chapter_and_unsolved() -> None:
    asked = []
    for path in NOTEBOOKS:
        calls = [
            chapters.CHECK.search(source)
            for source in sources(path)
            if re.search(r"^checks\.(?!hint|solution|progress|predict)", source, re.M)
        ]
        assert all(calls), f"{path.stem}: a check is called in a way that the book's build does not know"
        asked += [call[1] for call in calls]
        assert all("...  # your lines here" in call.string for call in calls), f"{path.stem}: an exercise is solved"
    assert sorted(asked) == sorted(checks.EXERCISES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_follows_an_exercise_never_asks_the_readers_function(path: Path) -> None:
    exercises: set[str] = set()
    for source in sources(path):
        called = chapters.CHECK.search(source)
        if called:
            exercises.add(called[2])
            continue
        tree = ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.MULTILINE))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        exercises -= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert not exercises & {node.id for node in names}, source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_solved_chapter_passes_its_checks_in_its_budget(path: Path, measured: Callable[[str], None]) -> None:
    bundle, text = kept(path), "\n".join(sources(path))
    report = bundle.record.data["after"]
    assert "error" not in report, report["error"]
    lines = [line.split(maxsplit=1) for line in report["progress"].splitlines()]
    solved = [[name, "right"] for name, _ in chapters.CHECK.findall(text)]
    assert lines == solved + [[name, "not answered"] for name in chapters.PREDICT.findall(text)]
    assert report["sliders"] == len(re.findall(r"^widgets\.", text, re.MULTILINE))
    measured(f"{report['seconds']:.0f} s of computing, {report['mib']:.0f} MiB")
    assert report["mib"] < MIB
    assert report["seconds"] < MINUTES * 60 * CORES  # not of the clock, which also counts what else the machine does


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_chapter_computes_as_long_as_its_head_says(path: Path, measured: Callable[[str], None]) -> None:
    """Seconds of one processor, which another program beside it hardly changes."""
    head = " ".join(nbformat.read(path, as_version=4).cells[0].source.split())
    (told,) = re.findall(r"([0-9]+|a|one and a half|two|three) (seconds?|minutes?) of computing", head)
    named = {"a": 1, "one and a half": 1.5, "two": 2, "three": 3}.get(told[0]) or int(told[0])
    named *= 60 if told[1].startswith("minute") else 1
    took = kept(path).record.data["after"]["own"]
    measured(f"{took:.0f} s of computing, its head says {named:g}")
    assert took / 2 < named < 3 * took


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_table_fits_the_column(path: Path) -> None:
    outputs = [out for cell in kept(path).nb.cells for out in cell.outputs if out.output_type == "stream"]
    printed = "".join(out.text for out in outputs).splitlines()
    assert [line for line in printed if len(line) > COLUMNS and TABLE.search(line)] == []
