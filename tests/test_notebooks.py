"""The notebooks: each .ipynb says what its Markdown source says, and nothing more."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.md"))


def test_every_notebook_has_a_source() -> None:
    assert SOURCES and {p.stem for p in SOURCES} == {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_its_source_without_outputs(source: Path) -> None:
    """If this fails: jupytext --to ipynb --update notebooks/NAME.md"""
    written, notebook = jupytext.read(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [(c.cell_type, c.source, c.metadata.get("tags")) for c in notebook.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags")) for c in written.cells
    ]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    assert "widgets" not in notebook.metadata


def test_badges_lead_to_notebooks_that_exist() -> None:
    targets = re.findall(r"notebooks/\w+\.ipynb", (ROOT / "README.md").read_text("utf-8"))
    assert len(targets) >= 2
    assert all((ROOT / target).is_file() for target in targets)
