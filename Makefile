# Everything runs in .venv, which `make setup` makes. PYTHON= chooses the interpreter to make it with.
PYTHON ?= python3
BIN := .venv/bin
DATA := data
PORT := 5000

.DEFAULT_GOAL := help
.PHONY: help setup data run test check lint format typecheck ui report bench clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: $(BIN)/.installed ## Make the environment in .venv

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

data: setup ## Put Fashion-MNIST into data/, unless it is there or installed
	PYTHON=$(BIN)/python scripts/fetch_fashion_mnist.sh $(DATA)

run: data ## Set everything up, run the quickstart sweep on real data, write its report
	$(BIN)/python -m scaling.run experiment=quickstart
	$(BIN)/python -m scaling.report experiment=quickstart

test: setup ## Run the tests
	$(BIN)/python -m pytest

check: lint typecheck test ## Everything that CI checks

lint: setup ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: setup ## Check types
	$(BIN)/mypy

ui: setup ## Open the MLflow UI on this folder's store, on http://127.0.0.1:5000 (PORT= changes it)
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 \
		--host 127.0.0.1 --port $(PORT) --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlruns/mlflow.db}"

report: setup ## Write the report of the newest sweep
	$(BIN)/python -m scaling.report

bench: setup ## Run the benchmarks and print their tables
	$(BIN)/python -m benchmarks

clean: ## Delete caches, features and reports; never mlruns/ or data/
	rm -rf .features reports dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -exec rm -rf {} +
