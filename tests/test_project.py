"""The project itself: layers, dependencies, versions, and the habits that keep the files readable."""

import ast
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CORE = ("schedule", "unet", "samplers", "train", "restore")
MAX_LINES = 250  # of code, in a file
MAX_FUNCTION = 60  # lines of code, in a function
SEEN = {".ci", ".github"}  # hidden folders that are part of the project


def project_files() -> list[Path]:
    """What git tracks or would track; without git, what lies in the folders that are not hidden or built."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if listed.returncode == 0:
            return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    made = {"__pycache__", "_build", "build", "dist"}
    found = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in made and (name in SEEN or name[0] != ".")]
        found += [Path(folder, name) for name in names]
    return found


def run_python(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, **options)


# ---------------------------------------------------------------------------------------------------------- layers


def test_imports_keep_to_the_layers():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_importing_the_package_draws_nothing_in():
    code = "import sys, ddpm_micro; print(*{'matplotlib', 'ipywidgets', 'IPython', 'diffusers'} & set(sys.modules))"
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


# ---------------------------------------------------------------------------------------------------- dependencies


def imported_packages(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"ddpm_micro", "__future__"}


def test_what_the_package_imports_is_declared():
    distributions = importlib.metadata.packages_distributions()
    runtime = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    teach = runtime | {canonicalize_name(Requirement(line).name) for line in EXTRAS["notebooks"]} | {"ipython"}
    export = runtime | {canonicalize_name(Requirement(line).name) for line in EXTRAS["export"]} | {"bioimageio-spec"}
    by_name = {"export.py": export, "ngff.py": runtime | {"zarr"}}
    undeclared = []
    for file in (ROOT / "ddpm_micro").rglob("*.py"):
        declared = teach if "teach" in file.parts else by_name.get(file.name, runtime)
        for name in imported_packages(file):
            if not declared & {canonicalize_name(owner) for owner in distributions.get(name, [name])}:
                undeclared.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not undeclared


def test_tested_versions_lie_in_the_declared_ranges():
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pins.setdefault(canonicalize_name(Requirement(line).name), []).append(Requirement(line))
    wanted = [Requirement(line) for lines in [PROJECT["dependencies"], *EXTRAS.values()] for line in lines]
    for requirement in wanted:
        if requirement.name == PROJECT["name"]:
            assert requirement.extras <= set(EXTRAS), f"{requirement} asks for an extra that is not declared"
            continue
        tested = pins.get(canonicalize_name(requirement.name), [])
        assert tested, f"{requirement.name} has no tested version in constraints.txt"
        for pin in tested:
            (version,) = pin.specifier
            assert version.operator == "==", f"constraints.txt: '{pin}' is not an exact version"
            assert requirement.specifier.contains(version.version), f"pyproject.toml: {requirement}; tested: {pin}"


def test_the_lowest_versions_are_those_that_are_allowed():
    lines = (ROOT / "constraints-lowest.txt").read_text("utf-8").splitlines()
    pinned = {str(Requirement(line)) for line in lines if not line.startswith("#")}
    allowed = [*PROJECT["dependencies"], *(line for name in ("notebooks", "zarr", "export") for line in EXTRAS[name])]
    assert pinned == {str(Requirement(line.replace(">=", "==", 1))) for line in allowed if ">=" in line.split(";")[0]}


def test_environment_yml_states_no_dependency_again():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = [line for entry in conda if isinstance(entry, dict) for line in entry["pip"]]
    by_conda = [entry for entry in conda if isinstance(entry, str)]
    assert by_pip == ["--editable .[notebooks]"]
    assert {re.split(r"[=<>! ]", entry)[0] for entry in by_conda} == {"python", "pip", "pytorch-cpu"}
    (python,) = [entry.removeprefix("python=") for entry in by_conda if entry.startswith("python=")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


# ---------------------------------------------------------------------------------------------------------- habits


def code_lines(text: str) -> int:
    """The lines that hold code: no comment, no docstring, not blank."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code -= set(range(node.lineno, node.end_lineno + 1))
    return len(code)


def test_each_module_can_be_read_in_one_sitting(measured):
    package = ROOT / "ddpm_micro"
    texts = {file.relative_to(package).as_posix(): file.read_text("utf-8") for file in sorted(package.rglob("*.py"))}
    table = {name: (len(text.splitlines()), code_lines(text)) for name, text in texts.items()}
    core = [table.get(f"{name}.py", (0, 0)) for name in CORE]
    rows = [*table.items(), ("in all", sums(table.values())), (f"the core: {', '.join(CORE)}", sums(core))]
    listed = "\n".join(f"{lines:5}  {code:5}  {name}" for name, (lines, code) in rows)
    measured("lines   code  module\n" + listed)
    too_long = {name: code for name, (_, code) in table.items() if code > MAX_LINES}
    assert not too_long, f"more than {MAX_LINES} lines of code, so two ideas in one file: {too_long}"


def test_functions_are_short() -> None:
    long = {}
    for path in sorted((ROOT / "ddpm_micro").rglob("*.py")):
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                nested = "if True:\n" if node.col_offset else ""  # what is indented stands alone under a head
                lines = code_lines(nested + ast.get_source_segment(text, node, padded=True)) - bool(nested)
                if lines > MAX_FUNCTION:
                    long[f"{path.name}: {node.name}"] = lines
    assert not long, f"more than {MAX_FUNCTION} lines of code: {long}"


def sums(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(pairs)
    return sum(first for first, _ in pairs), sum(second for _, second in pairs)


def test_one_version():
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert str(citation["version"]) == version
    assert newest is not None
    assert newest[1] == version
    assert importlib.metadata.version("ddpm_micro") == version
    done = run_python("-c", "import ddpm_micro; print(getattr(ddpm_micro, '__version__', ''))")
    assert done.stdout.strip() in {"", version}, done.stderr


@pytest.mark.parametrize(
    ("what", "pattern", "except_in"),
    [
        ("a path of one machine", r"(?<![\w.])/(?:work|home|root|Users)/", ()),
        ("a folder beside the checkout", r"\bshared[/]", (".ci/run",)),
        ("the host of a package registry", r"\b(?:pypi|pythonhosted|anaconda|npmjs|jsr)\.(?:org|com|io)\b", ()),
        ("the host of a package registry", r"\bdownload\.pytorch\.org\b", ()),
        ("another home of a repository", r"\b(?:gitlab|bitbucket|codeberg)\.(?:com|org)\b", ()),
    ],
)
def test_no_file_mentions(what, pattern, except_in):
    found = []
    for file in project_files():
        name = file.relative_to(ROOT).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # an image, weights
            continue
        if name not in except_in:
            lines = enumerate(text.splitlines(), start=1)
            found += [f"{name}:{number}: {line.strip()[:100]}" for number, line in lines if re.search(pattern, line)]
    assert not found, f"{what} is mentioned:\n" + "\n".join(found)


SKIPS = """
import pytest

@pytest.mark.skip(reason="marked")
def test_marked(): ...

def test_called(): pytest.skip("called")

@pytest.mark.xfail(strict=True)
def test_expected(): assert False

def test_images(fmd_root): ...
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", {"4 skipped"}), ("true", {"1 failed", "3 errors"})])
def test_nothing_is_skipped_in_ci(tmp_path, ci, outcome):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skips.py").write_text(SKIPS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('a_package_nobody_has')\n")
    environment = {name: value for name, value in os.environ.items() if name != "DDPM_MICRO_DATA"} | {"CI": ci}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a faster start
    options = ["-p", "no:cacheprovider", "-q", "--continue-on-collection-errors"]
    done = run_python("-m", "pytest", *options, str(tmp_path), env=environment)
    assert outcome | {"1 xfailed"} <= set(re.findall(r"\d+ \w+", done.stdout.splitlines()[-1])), (
        done.stdout + done.stderr
    )


# -------------------------------------------------------------------------------------------- the README's example

GOOD = """
```console
$ exit 1   # not marked, so not run
```
<!-- run -->
```console
$ echo one > made.txt
$ printf '%s\\n' two \\
    three >> made.txt
what a command printed is not run
```
<!-- run -->

```python
assert open("made.txt").read().split() == ["one", "two", "three"]
```
"""


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (GOOD, 0, "3 examples of README.md ran"),
        (GOOD.replace("two ", "2 "), 1, "FAILED with exit status 1"),
        (GOOD.replace("<!-- run -->", ""), 1, "0 marks"),
        (GOOD + "<!-- run -->\nno block\n", 1, "3 marks '<!-- run -->' and 2 fenced blocks"),
        (GOOD + "<!-- run -->\n```yaml\na: 1\n```\n", 1, "this one is 'yaml'"),
    ],
    ids=["good", "failing", "no mark", "mark without block", "other language"],
)
def test_readme_examples_are_run(tmp_path, text, status, said):
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    done = run_python(str(ROOT / "tests" / "readme_example.py"), str(readme))
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout + done.stderr


def test_the_readme_has_an_example_to_run():
    assert "<!-- run -->" in (ROOT / "README.md").read_text(encoding="utf-8")
