# Two commands do everything: `make run` and `make test`. `make help` lists the rest, `make test-all` among it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
CHECKOUT := $(VENV)/.checkout
DEVELOPMENT := $(VENV)/.development
OLDEST := $(VENV)/oldest

# Set in many containers. Without bytecode of ours every process compiles our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: install run frameworks test test-all test-oldest check format lock bench bench-quick clean help

# uv is several times as fast as pip, and says what it downloads; pip is there for where uv cannot.
sync = $(BIN)/uv pip install --python $(BIN)/python --verify-hashes --requirement $(1) || \
  $(BIN)/python -m pip install --require-hashes --requirement $(1)
# It also writes a `cloche` that starts where the path has a space, which pip does not.
EDITABLE := --quiet --no-deps --no-build-isolation --editable .

install: $(DEVELOPMENT) $(CHECKOUT)  ## make .venv with all that runs, tests and checks Cloche

$(RUNTIME): requirements.lock requirements-build.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Cloche needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 15))' || \
	  echo "Cloche is tested with Python 3.11 to 3.14; this is $$($(PYTHON) --version), so packages may have to be compiled." >&2
	@echo "Installing, 1 of 4: an empty environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing, 2 of 4: the installer, from requirements-build.lock"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-build.lock
	@echo "Installing, 3 of 4: the packages of requirements.lock, a download of about 250 MB"
	@$(call sync,requirements.lock)
	@touch $@

# Apart, so that a setting of a tool in pyproject.toml does not have everything installed anew.
$(CHECKOUT): pyproject.toml $(RUNTIME)
	@echo "Installing, 4 of 4: this checkout"
	@$(BIN)/uv pip install --python $(BIN)/python $(EDITABLE) || $(BIN)/python -m pip install $(EDITABLE)
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME) | $(CHECKOUT)
	@echo "Installing beside it what tests and checks need, from requirements-dev.lock; PySpark takes longest"
	@$(call sync,requirements-dev.lock)
	@echo "Compiling what all workers of the tests import, so that not each of them does"
	@cd $(VENV)/lib/python3*/site-packages && $(abspath $(BIN))/python -m compileall -q -j 0 -x '/tests/' \
	  matplotlib mlflow numpy pandas pyspark scipy sklearn sqlalchemy || true  # Python compiles what it imports, too
	@touch $@

run: $(CHECKOUT)  ## train, gate, promote, serve: MLflow UI on :5000, /invocations on :8080 (arguments: UP=breast-cancer)
	@$(BIN)/cloche up $(UP)

frameworks: install  ## what tests of XGBoost, LightGBM, PyTorch, TensorFlow, statsmodels models need
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement tests/frameworks.txt

PYTEST := $(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder --durations 20

test: install  ## prove every behaviour once, in about eight minutes
	$(PYTEST) -m "not breadth"

test-all: install  ## the whole test suite, in about 35 minutes: what CI runs
	$(PYTEST)

# What another version of a dependency can change, and is proven in minutes; without what kills processes, and
# what needs a store, Spark, a framework (CI demands them elsewhere) or the compiler of protocols. Old releases use
# what has been deprecated since.
WITHOUT := batch/spark batch/test_kill.py batch/output/test_object_store.py host/test_messages.py
WITH_OLDEST := contracts/test_private_names.py protocol/test_plan.py protocol/others/test_agreement.py \
  serving/api serving/batch serving/client serving/clouds serving/dispatch serving/grpc serving/host serving/http \
  serving/observability serving/openapi serving/processes serving/protocols serving/queue serving/registry \
  serving/server serving/web training/acceleration training/pipeline training/recipe

PYTEST_OLDEST := env -u CI $(OLDEST)/bin/python -m pytest -m "not breadth" -W ignore::DeprecationWarning \
  $(WITH_OLDEST:%=tests/%) $(WITHOUT:%=--ignore=tests/serving/%)

test-oldest: $(OLDEST)/.ready  ## prove the fast part with the oldest version of each dependency that is allowed
	$(PYTEST_OLDEST) -n 3 --dist loadgroup --durations 10

$(OLDEST)/.ready: requirements-oldest.lock pyproject.toml $(DEVELOPMENT)
	$(BIN)/uv venv --quiet --clear --python 3.11 $(OLDEST)
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --verify-hashes --requirement $<
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --no-deps --editable .
	@echo "Compiling what all workers of the tests import, so that not each of them does"
	$(PYTEST_OLDEST) --collect-only --quiet >$(OLDEST)/collected || { tail -40 $(OLDEST)/collected >&2; exit 1; }
	@touch $@

check: install  ## format, lint, types, architecture: what CI checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet --numprocesses 0 tests/contracts/test_rooms.py tests/contracts/test_private_names.py

format: install  ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links
LOCK := $(COMPILE) --universal
RUN_EXTRAS := samples search acceleration otel client aws gcp grpc monitor postgres

lock: install  ## resolve pyproject.toml into the lock files anew
	$(LOCK) $(RUN_EXTRAS:%=--extra %) --output-file requirements.lock pyproject.toml
	$(LOCK) --group build --constraint requirements.lock --output-file requirements-build.lock
	$(LOCK) --all-extras --constraint requirements.lock --constraint requirements-build.lock \
	  --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --resolution lowest-direct $(RUN_EXTRAS:%=--extra %) --group oldest \
	  --output-file requirements-oldest.lock pyproject.toml

bench: install  ## measure everything, and write benchmarks/results.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.swaps
	$(BIN)/python -m benchmarks.breakdown
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.protocols
	$(BIN)/python -m benchmarks.stages

bench-quick: install  ## the same, one model and short: a look, not a result
	$(BIN)/python -m benchmarks --models twelve --connections 1 64 --rounds 1 --seconds 2 --warm-up 1 --output .bench/quick
	$(BIN)/python -m benchmarks.swaps --swaps 4 --seconds 5 --output .bench/quick
	$(BIN)/python -m benchmarks.breakdown --output .bench/quick
	$(BIN)/python -m benchmarks.batch --rows 200000 --output .bench/quick
	$(BIN)/python -m benchmarks.protocols --connections 64 --rounds 1 --seconds 2 --output .bench/quick
	$(BIN)/python -m benchmarks.stages --works computes --rounds 1 --seconds 2

clean:  ## remove .venv and caches; the registry (mlflow.db, mlruns/) stays
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
