"""Sliders and predictions with the ipywidgets of Colab, 7.7.1, which `make test` lays in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COLAB = ROOT / ".venv" / "colab"


@pytest.mark.slow
def test_sliders_and_predictions_work_with_the_ipywidgets_of_colab() -> None:
    if not COLAB.is_dir():
        pytest.skip(f"ipywidgets 7.7.1 wanted in {COLAB.relative_to(ROOT)}; `make test` puts it there")
    environment = {**os.environ, "PYTHONPATH": str(COLAB)}
    code = "import ipywidgets, sys; sys.exit(ipywidgets.__version__ != '7.7.1')"
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    tests = [str(ROOT / "tests" / name) for name in ("test_widgets.py", "test_prediction.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
