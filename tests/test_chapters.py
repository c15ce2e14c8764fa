"""Every chapter, solved: a copy with each stub replaced by the package's answer runs, passes its checks and keeps its budget.

The chapters as they stand, with nothing solved, are run by the build of the book (`make book`).
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbmake.nb_run import NotebookRun

from ddpm_micro.teach import checks

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SOLVED = Path(__file__).parent.parent / "build" / "solved"
CHECK = re.compile(r"^checks\.(\w+)\((\w+)\)$", re.MULTILINE)  # checks.NAME(FUNCTION)
PREDICT = re.compile(r'^checks\.predict\("(\w+)"\)$', re.MULTILINE)
MIB, MINUTES, CORES = 2048, 3, 2  # what a chapter may take: the memory of a free Binder, and two cores for a while
COLUMNS = 77  # characters across the book's column on a laptop; sentences wrap, tables cannot
TABLE = re.compile(r"\S {2,}\S.* {2,}\S")  # a line with two gaps
LAST = """
import json, resource, sys
from ddpm_micro.teach import checks
used = resource.getrusage(resource.RUSAGE_SELF)  # the peak: in KiB on Linux, in bytes on macOS
mib = used.ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
print(json.dumps({"progress": checks.progress(), "mib": mib, "seconds": used.ru_utime + used.ru_stime}))
"""


def code(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def solved(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with each checked function set to the right one, and a last cell that says how it went."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = CHECK.sub(r'\2 = checks.answer("\1")' + r"\n\g<0>", cell.source)
    notebook.cells.append(nbformat.v4.new_code_cell(LAST))
    return notebook


def test_each_exercise_is_in_a_chapter_and_unsolved() -> None:
    asked = []
    for path in NOTEBOOKS:
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        calls = [
            CHECK.search(source)
            for source in cells
            if re.search(r"^checks\.(?!hint|solution|progress|predict)", source, re.M)
        ]
        assert all(calls), f"{path.stem}: a check is called in a way that this test does not know"
        asked += [call[1] for call in calls]
        assert all("...  # your lines here" in call.string for call in calls), f"{path.stem}: an exercise is solved"
    assert sorted(asked) == sorted(checks.EXERCISES)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_solved_chapter_runs_in_its_budget(
    path: Path, measured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DDPM_MICRO_SLIDERS", raising=False)  # live, as in JupyterLab
    notebook = nbformat.read(path, as_version=4)
    names = [name for name, _ in CHECK.findall(code(notebook))]
    copy = SOLVED / path.name  # within the checkout, where chapters look for the measured results
    SOLVED.mkdir(parents=True, exist_ok=True)
    nbformat.write(solved(notebook), copy)

    start = time.perf_counter()
    result = NotebookRun(copy, default_timeout=300).execute()
    wall = time.perf_counter() - start
    assert result.error is None, f"{result.error.summary}\n{result.error.trace}"

    report = json.loads(result.nb.cells[-1].outputs[0].text)
    lines = [line.split(maxsplit=1) for line in report["progress"].splitlines()]
    asked = PREDICT.findall(code(notebook))
    assert lines == [[name, "right"] for name in names] + [[name, "not answered"] for name in asked]
    measured(f"{wall:.0f} s, {report['seconds']:.0f} s of computing, {report['mib']:.0f} MiB")
    printed = [
        out.text for cell in result.nb.cells[:-1] for out in cell.get("outputs", ()) if out.output_type == "stream"
    ]
    assert [line for line in "".join(printed).splitlines() if len(line) > COLUMNS and TABLE.search(line)] == []
    assert report["mib"] < MIB
    assert report["seconds"] < MINUTES * 60 * CORES  # not of the clock, which also counts what else the machine does
