# Three commands for a fresh clone: `make test`, `make book`, `make lab`. Each makes .venv when there is none and adds to it what
# that command needs; a file .venv/.has-* remembers what is in, until pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
# --no-compile: a minute saved, since Python compiles what is imported when it is imported, and PyTorch holds far more than that.
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint $(CONSTRAINTS)
ARGS   ?=

# Each kernel warns that what it computes travels unencrypted, which within one computer is no matter; errors are still shown.
export QUIET_KERNELS := get_config().IPKernelApp.log_level = "ERROR"

# Some machines tell Python to keep no compiled files. Every kernel and every command would then compile PyTorch anew, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help test style book lab clean
.DELETE_ON_ERROR:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 chooses the interpreter for a new .venv; ARGS=... is handed on, e.g. make test ARGS='-k schedule'"

test: $(VENV)/.has-test $(VENV)/.has-colab style book  ## check the style, build the book, then run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

style: $(VENV)/.has-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

book: $(VENV)/.has-book  ## run all chapters and build the book, for a browser without a connection
	@$(BIN)/python book/_ext/chapters.py
	$(BIN)/jupyter-book build . --config book/_config.yml --toc book/_toc.yml --path-output book -W --keep-going --quiet
	@echo "the book: book/_build/html/index.html"

lab: $(VENV)/.has-notebooks  ## open the first chapter in JupyterLab
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb $(ARGS)

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
	@mkdir -p $(VENV)/etc/ipython && echo "$$QUIET_KERNELS" > $(VENV)/etc/ipython/ipython_kernel_config.py
	@touch $@

# Colab has an older ipywidgets: it lies in a folder of its own, and the sliders' tests run with it too (tests/test_colab.py).
$(VENV)/.has-colab: $(VENV)/.has-test
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --upgrade --target $(VENV)/colab \
	    ipywidgets==7.7.1 ipython-genutils==0.2.0
	@touch $@
