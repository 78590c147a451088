# Each target alone sets up everything it needs from a bare clone: Python 3.11+ and a package registry.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
MODE ?= correlation-aware
DEMO = build/demo
AS_OF = 2019-10-01T02:00:00Z
WORKERS ?= 2
# BLAS threads fight with the test workers for the same cores.
export OPENBLAS_NUM_THREADS = 1

.PHONY: help demo test proof check docs bench clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo [MODE=risk-adjusted]  plan a rebalance of ten real strategies'
	@echo 'make test                       the test suite (minutes)'
	@echo 'make proof                      the large seeded counts (tens of minutes)'
	@echo 'make check                      lint, types, import rules, generated documentation'
	@echo 'make docs                       write generated documentation again'
	@echo 'make bench                      measure against peers, in ratios'
	@echo 'make clean                      remove everything that make made'

$(VENV)/run.stamp: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -m compileall -q portfolio_rebalance  # else every start compiles where bytecode is not written
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/run.stamp
	@rm -rf $(DEMO)
	@$(BIN)/trading-portfolio-rebalance init --demo $(DEMO)
	@$(BIN)/trading-portfolio-rebalance --workspace $(DEMO) --as-of $(AS_OF) --mode $(MODE) --dry-run
	@echo 'To execute it on paper: $(BIN)/trading-portfolio-rebalance --workspace $(DEMO) --as-of $(AS_OF) --mode $(MODE) --execute'

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not proof'

proof: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) -m proof --durations=5
	VENV=$(VENV) tests/proof/other_python.sh

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/dev.stamp
	$(BIN)/python docs/generate.py

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis mutants
