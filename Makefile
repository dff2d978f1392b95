# petlab: `make` lists the targets.

PYTHON      ?= python3
SWEEP       ?= notebooks/sweeps/smoke.yml
JOBS        ?= 2
# Test files beside each other; the tests of one file share what they start.
BESIDE      := -n $(JOBS) --dist loadfile
# Where pip may find a torch without CUDA (on x86-64 Linux, PyPI's own is several GB).
# Skipped at once where it cannot be reached; `make setup TORCH_INDEX=` does not ask it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
MIN_FREE_GB ?= 6
# SPU has no wheels for Python 3.12, and petlab none for 3.10.
SPU_PYTHON  ?= python3.11

SHELL := /bin/bash
BIN   := .venv/bin
STAMP := .venv/.petlab-setup
PIP   := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell grep '^torch==' requirements.txt)

# The processes of a sweep are the parallelism; threads of BLAS would only fight over the cores.
demo sweep baseline check test fuzz mutants epsilon: export OMP_NUM_THREADS = 1
export FLWR_TELEMETRY_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: setup spu demo test check lint fuzz mutants epsilon sweep baseline report lab clean help

setup: $(STAMP)  ## Make .venv with everything petlab needs (2 GB, a few minutes; instant when it is up to date)
	@echo "The environment is ready: .venv"

spu: .venv-spu/.petlab-setup  ## Make .venv-spu, where mpc with engine=spu runs its compute parties (1.1 GB)
	@echo "The environment is ready: .venv-spu"

.venv-spu/.petlab-setup: packaging/spu/requirements.txt
	$(SPU_PYTHON) -m venv .venv-spu
	.venv-spu/bin/python -m pip --disable-pip-version-check install -qq -r $<
	.venv-spu/bin/python -c "import spu"
	touch $@

demo: $(STAMP)  ## Set up, run a small sweep over all techniques, write the report
	$(BIN)/petlab sweep notebooks/sweeps/smoke.yml --out reports/results --jobs $(JOBS)
	$(BIN)/petlab report --results reports/results --out reports/site

test: lint  ## Lint, types and every test
	$(BIN)/python -m pytest -q $(BESIDE)

check: lint  ## Lint, types and the fast tests (under a minute)
	$(BIN)/python -m pytest -q $(BESIDE) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy petlab

fuzz: $(STAMP)  ## 10,000 mutated inputs: each is refused, or the answer is right (some minutes)
	$(BIN)/python tests/fuzz.py

mutants: $(STAMP)  ## Take every protection away in turn and see that a test notices (an hour)
	$(BIN)/python tests/mutants.py --write

epsilon: $(STAMP)  ## Estimate epsilon from outputs of whole cells on neighbouring tables (an hour)
	$(BIN)/python benchmarks/epsilon_outside.py --write

sweep: $(STAMP)  ## Run a sweep: make sweep SWEEP=notebooks/sweeps/full.yml JOBS=4
	$(BIN)/petlab sweep $(SWEEP) --out reports/results --jobs $(JOBS)

baseline: $(STAMP)  ## Run the smoke sweep afresh and make it what CI compares with
	rm -rf reports/results
	$(BIN)/petlab sweep notebooks/sweeps/smoke.yml --out reports/results --jobs $(JOBS)
	$(BIN)/petlab diff --write-baseline reports/baseline/smoke.jsonl reports/results

report: $(STAMP)  ## Write HTML, PDF and tables from reports/results to reports/site
	$(BIN)/petlab report --results reports/results --out reports/site

lab: $(STAMP)  ## Open JupyterLab on the notebooks
	cd notebooks && ../$(BIN)/jupyter-lab

clean:  ## Remove caches and generated results; keep .venv (rm -r .venv removes it)
	rm -rf reports/results reports/runs reports/site build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find petlab tests datasets notebooks packaging -type d \
	  \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} + 2>/dev/null || true

help:  ## List the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1|\2/p' Makefile \
	  | while IFS='|' read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------------------------------------
# Nothing is downloaded before both checks pass. torch comes first and alone, so that only this
# step asks the extra index; the rest finds it installed. pip compiles on one core, compileall on
# all of them, and without byte-code every notebook kernel would start seconds later.

define CHECK_PYTHON
$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
  2>/dev/null || { \
  echo "petlab needs Python 3.11 or 3.12 with venv and ensurepip; '$(PYTHON)' is" \
    "$$($(PYTHON) --version 2>&1 | head -n 1). Name another: make setup PYTHON=python3.11" \
    "(Debian and Ubuntu: apt install python3.11-venv)" >&2; exit 1; }
endef

define CHECK_DISK
free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); \
[ "$$free" -ge $(MIN_FREE_GB) ] || { \
  echo "petlab's environment needs $(MIN_FREE_GB) GB of free disk while it installs, and" \
    "$$PWD has $$free GB. Free some, or clone petlab onto a larger disk." >&2; exit 1; }
endef

$(STAMP): pyproject.toml requirements.txt $(wildcard packaging/crypten/*.py packaging/crypten/*.toml)
	@$(CHECK_PYTHON)
	@$(CHECK_DISK)
	@set -e; \
	say() { printf 'setup %4ss  %s\n' "$$SECONDS" "$$1"; }; \
	say "Making .venv with $$($(PYTHON) --version)"; \
	$(PYTHON) -m venv .venv; \
	say "Installing $(TORCH), the CPU build where there is one"; \
	$(PIP) install -qq --no-compile --no-deps --retries 0 --timeout 15 \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH); \
	say "Installing requirements.txt (the longest step)"; \
	$(PIP) install -qq --no-compile -r requirements.txt; \
	say "Installing petlab itself, editable"; \
	$(PIP) install -qq --no-deps -e .; \
	say "Compiling to byte-code"; \
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib petlab >/dev/null 2>&1 || true; \
	say "Checking that the versions fit together"; \
	$(PIP) check; \
	touch $@; \
	say "Done, $$(du -sh .venv | cut -f 1)"
