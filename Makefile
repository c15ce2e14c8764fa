# Three commands for a fresh clone: `make test`, `make book`, `make lab`. Each makes .venv when there is none and adds to it what
# that command needs; a file .venv/.has-* remembers what is in, until pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# --no-compile: a minute saved, since Python compiles what is imported when it is imported, and PyTorch holds far more than that.
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help test book lab clean
.DELETE_ON_ERROR:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 chooses the interpreter for a new .venv; ARGS=... is handed on, e.g. make test ARGS='-k schedule'"

test: $(VENV)/.has-test  ## check the style, then run all tests and notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=300 tests notebooks $(ARGS)

book: $(VENV)/.has-book  ## run the README's example from start to end, without a screen
	$(BIN)/python book/readme_example.py $(ARGS)

lab: $(VENV)/.has-notebooks  ## open JupyterLab
	$(BIN)/jupyter lab $(wildcard notebooks) $(ARGS)

clean:  ## remove .venv and everything that was built
	rm -rf $(VENV) book/_build build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .jupyter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "ddpm_micro needs Python 3.10 or newer, this is " + sys.version)'
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no venv: on Debian and Ubuntu 'apt install python3-venv' brings it" >&2; exit 1; }

# The package first, editable, with what it needs to run ...
$(VENV)/.has-package: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing ddpm_micro and what it needs (once; PyTorch is the large part)"
	@$(PIP) --editable .
	@touch $@

# ... then one extra at a time on top. The package is there already, so pip fetches nothing but the extra.
$(VENV)/.has-%: $(VENV)/.has-package
	@echo "installing what 'ddpm_micro[$*]' adds"
	@$(PIP) "ddpm_micro[$*]"
	@touch $@
