# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Set in many containers. Without bytecode of ours every process compiles our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: install run frameworks test check format lock bench bench-quick clean help

install: $(STAMP)  ## make .venv from the lock file

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "Cloche needs Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make install PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock | \
	  $(BIN)/python -m pip install --quiet --require-hashes --requirement /dev/stdin
	$(BIN)/uv pip install --quiet --python $(BIN)/python --verify-hashes --requirement requirements-dev.lock || \
	  $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: install  ## train, gate, promote, serve: MLflow UI on :5000, /invocations on :8080
	@$(BIN)/cloche up

frameworks: install  ## what tests of XGBoost, LightGBM, PyTorch, TensorFlow, statsmodels models need
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement tests/frameworks.txt

test: install  ## the whole test suite
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder --durations 20

check: install  ## format, lint, types, architecture: what CI checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links pyproject.toml

lock: install  ## resolve pyproject.toml into the lock files anew
	$(LOCK) --extra samples --extra search --extra acceleration --extra otel --extra client --extra aws --extra gcp --extra grpc --extra postgres --output-file requirements.lock
	$(LOCK) --all-extras --constraint requirements.lock --output-file requirements-dev.lock

bench: install  ## measure everything, and write benchmarks/results.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.swaps
	$(BIN)/python -m benchmarks.breakdown
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.doors

bench-quick: install  ## the same, one model and short: a look, not a result
	$(BIN)/python -m benchmarks --models twelve --connections 1 64 --rounds 1 --seconds 2 --warm-up 1 --output .bench/quick
	$(BIN)/python -m benchmarks.swaps --swaps 4 --seconds 5 --output .bench/quick
	$(BIN)/python -m benchmarks.breakdown --output .bench/quick
	$(BIN)/python -m benchmarks.batch --rows 200000 --output .bench/quick
	$(BIN)/python -m benchmarks.doors --connections 64 --rounds 1 --seconds 2 --output .bench/quick

clean:  ## remove .venv and caches; the registry (mlflow.db, mlruns/) stays
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
