"""The examples of README.md do what it says, and its tables are those of the results."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import benchmark
import bm3d
import common
import fmd
import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_examples_run(measured: Callable[[str], None]) -> None:
    command = [sys.executable, str(ROOT / "tests" / "readme_example.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured(done.stdout)


@pytest.mark.parametrize("script", [benchmark, bm3d, fmd])
def test_each_table_is_that_of_its_results(script: ModuleType) -> None:
    """Run the script of that name, which renews both, after a change of results or methods."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert common.with_table(text, script.__name__, script.table(common.load(script.__name__))) == text


def test_a_table_without_its_marks_is_not_lost_in_silence() -> None:
    with pytest.raises(ValueError, match="expected the marks <!-- other table -->"):
        common.with_table("text", "other", "| |")
