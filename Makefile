# `make help` lists the commands. Any setting of the pipeline can be given as NAME=value: make hands it on.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The environment's Python. (PYTHON, on the command line, is the interpreter to build the environment from.)
VENV_PYTHON := .venv/bin/python
# How many test processes; each loads TensorFlow, about 1 GB.
JOBS ?= 3
# The setting of the same name puts it into the compiled workflow.
KUBEFLOW_IMAGE ?= distributed-tuner:latest
BUILD = docker build$(if $(filter-out 0,$(GPU)), --build-arg GPU=1) --tag $(KUBEFLOW_IMAGE) .
LOCK_FLAGS := --python $(VENV_PYTHON) --python-platform linux --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" --quiet $(if $(UPGRADE),--upgrade)

.PHONY: help setup run serve tensorboard report test coverage test-kubeflow test-cluster chaos chaos-cluster lint types bench lock image clean

help:  ## List the commands
	@sed -n 's/^\([a-z-]*\):.*##/\1/p' $(firstword $(MAKEFILE_LIST)) | awk '{printf "  make %-13s", $$1; $$1 = ""; print}'

setup:  ## Make the environment ready: uv, Python 3.10, the locked packages (the other commands do it by themselves)
	@scripts/setup.sh

run: setup  ## Run the whole pipeline, from trips to a prediction (DATA=trips.csv WORKERS=4 RUN_ID=name …: docs/settings.md)
	@$(VENV_PYTHON) -m tfx_pipeline run

serve: setup  ## Keep a server of the last blessed model up, until ctrl-C
	@$(VENV_PYTHON) -m tfx_pipeline serve

tensorboard: setup  ## Open TensorBoard on the runs' logs, until ctrl-C
	@$(VENV_PYTHON) -m tfx_pipeline tensorboard

report: setup  ## Open the report of the last search
	@$(VENV_PYTHON) -m tfx_pipeline report

test: setup  ## Run all tests but those on Kubernetes (ARGS="tests/models -k loss" for some of them)
	@scripts/install_chromium.sh
	@$(VENV_PYTHON) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

coverage: setup  ## As `make test`, and say which lines ran, in workers and servers too (a page in htmlcov/)
	@scripts/install_chromium.sh
	@$(VENV_PYTHON) -m pytest -n $(JOBS) --dist loadgroup --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

test-kubeflow: setup  ## Check the compiled workflow with Argo's own linter, which is built here once
	@$(VENV_PYTHON) -m pytest tests/kubeflow $(ARGS)

test-cluster: setup  ## Run the tests that need Kubernetes, on one that is built here once (FULL=1 for all: docs/cluster-tests.md)
	@$(VENV_PYTHON) -m pytest tests/cluster $(ARGS)

chaos: setup  ## Kill, suspend and starve whole searches, about 15 minutes (ARGS="--seed 7 --only full-disk")
	@$(VENV_PYTHON) -m tests.harness.chaos $(ARGS)

chaos-cluster: setup  ## Disrupt a search on Kubernetes a hundred times, about 20 minutes (ARGS="--seed 7": docs/cluster-tests.md)
	@$(VENV_PYTHON) -m tests.cluster.chaos $(ARGS)

lint: setup  ## Check style, formatting, and which room imports which
	@$(VENV_PYTHON) -m ruff check --quiet .
	@$(VENV_PYTHON) -m ruff format --quiet --check .
	@told=$$(.venv/bin/lint-imports --no-cache --no-logo --config pyproject.toml) || { echo "$$told"; exit 1; }

types: setup  ## Check types
	@$(VENV_PYTHON) -m mypy --no-error-summary

bench: setup  ## Run the benchmarks and write a table (BENCH=pipeline|overhead|oracle|recovery|memory|quality|startup|serving|cluster for one)
	@$(VENV_PYTHON) -m benchmarks$(if $(BENCH),.$(BENCH)) $(ARGS)

lock: setup  ## Resolve the dependencies of setup.cfg into requirements/ (UPGRADE=1 also moves those nobody pins)
	@scripts/setup.sh uv pip compile setup.cfg --extra test --extra dev --overrides requirements/overrides.txt \
		$(LOCK_FLAGS) --output-file requirements/lock.txt
	@scripts/setup.sh uv pip compile setup.cfg --constraints requirements/lock.txt --overrides requirements/overrides.txt \
		$(LOCK_FLAGS) --output-file requirements/runtime.txt
	@scripts/setup.sh uv pip compile setup.cfg --extra gpu --constraints requirements/lock.txt \
		--overrides requirements/overrides-gpu.txt $(LOCK_FLAGS) --output-file requirements/runtime-gpu.txt

image:  ## Build the container image for Kubeflow (KUBEFLOW_IMAGE=name:tag; GPU=1: TensorFlow with CUDA)
	@if docker info >/dev/null 2>&1; then $(BUILD); else \
		echo "No docker answers here. On a machine that has one: $(BUILD)"; fi

clean:  ## Remove caches and build products; the environment (.venv, .tools) and runs/ stay
	@rm -rf build dist *.egg-info .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
