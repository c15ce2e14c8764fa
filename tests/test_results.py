"""The measured results are found from wherever a notebook runs, and say where to get them if they are not there."""

from pathlib import Path

import pytest

from ddpm_micro import simulate
from ddpm_micro.teach import results

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("place", [ROOT, ROOT / "notebooks", ROOT / "book" / "results"])
def test_results_are_found_within_a_checkout(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert results.book() == ROOT / "book"
    assert {record["set"] for record in results.load("benchmark")} == set(simulate.NAMES)
    assert {record["set"] for record in results.load("averaging") if "V_over_B" in record} == set(simulate.NAMES)
    with pytest.raises(ValueError, match=r"no results 'benchmrk'; expected one of .*averaging, benchmark, "):
        results.load("benchmrk")


def test_a_clone_beside_the_notebook_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="git clone"):
        results.load("benchmark")
    (tmp_path / "ddpm_micro" / "book" / "results").mkdir(parents=True)
    assert results.book() == tmp_path / "ddpm_micro" / "book"
