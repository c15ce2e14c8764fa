"""The examples of README.md do what it says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_examples_run(measured: Callable[[str], None]) -> None:
    command = [sys.executable, str(ROOT / "tests" / "readme_example.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured(done.stdout)
