"""What all tests share: the real images, and the rule that nothing is skipped in continuous integration."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# A busy machine is not a bug, so examples have no deadline; in CI the same examples are drawn every time.
settings.register_profile("ddpm_micro", deadline=None, derandomize=CI, print_blob=True)
settings.load_profile("ddpm_micro")


@pytest.fixture(scope="session")
def fmd_root() -> Path:
    """The folder that `DDPM_MICRO_DATA` names, with ``fmd/test_mix/{raw,gt}`` in it: six real scenes."""
    named = os.environ.get("DDPM_MICRO_DATA")
    if not named:
        pytest.skip(
            "real images wanted: set DDPM_MICRO_DATA to a folder that holds fmd/test_mix/raw and fmd/test_mix/gt"
        )
    root = Path(named)
    missing = [folder for folder in ("raw", "gt") if not (root / "fmd" / "test_mix" / folder).is_dir()]
    if missing:
        pytest.fail(f"DDPM_MICRO_DATA={named} has no fmd/test_mix/{' and no fmd/test_mix/'.join(missing)}")
    return root


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what was measured: ``measured(text)`` is printed at the end of the run, whichever process ran the test."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    for report in sorted(reports, key=lambda report: report.nodeid):
        for name, text in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.section(report.nodeid.partition("::")[2], "-")
                terminalreporter.write_line(text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `gpu` where there is none: no machine of ours can be asked to have one."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if item not in marked]


def _fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: nothing may be skipped when CI is set, but this was: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    _fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _fail_instead_of_skip(report)
    return report
