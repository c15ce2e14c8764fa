"""What waits for a GPU runs: tiny, on the CPU that is here."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_run_on_a_card_is_ready(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"DRY": "1", "PYTHONPATH": str(ROOT), "PATH": path}
    command = ["bash", str(ROOT / "book/experiments/on_a_card.sh"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    log = (tmp_path / "speed.log").read_text()
    assert done.stdout.splitlines() == ["speed: 0", "generalist: 0"], log[-2000:]
    parts = ("machine", "limits", "forward", "training", "restoring", "precision", "sampling", "memory")
    assert [line.partition(",")[0] for line in log.splitlines() if " s " in line and line[0].isalpha()] == [
        *parts, "paper", "specialist", "batch_and_rate",
    ]  # fmt: skip
    for what in ("matmul_bf16_tflops", '"how": "diffusers"', '"how": "captured"', "article: 15 of 200 steps"):
        assert what in log
