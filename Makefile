# Everything runs in .venv, which `make setup` makes. PYTHON= chooses the interpreter to make it with.
PYTHON ?= python3
BIN := .venv/bin
DATA := data
PORT := 5000
# Where builds of PyTorch without CUDA lie: 0.2 GB in place of 3. TORCH_CPU= (empty) takes the default build.
TORCH_CPU ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help setup data run test check lint format typecheck docs wheel extra lock ui report reproduce bench clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: $(BIN)/.installed ## Make the environment in .venv

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -c 'import torch' 2>/dev/null || PIP="$(BIN)/python -m pip" TORCH_CPU=$(TORCH_CPU) scripts/torch_cpu.sh
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

lint: setup ## Check style, format and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: setup ## Check types
	$(BIN)/mypy

docs: setup ## Make the documentation's site in site/; a broken link fails
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: setup ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

extra: ## Install one extra alone into build/, EXTRA=text, and import what it opens
	$(PYTHON) -m venv --clear build/extra
	PIP="build/extra/bin/python -m pip" TORCH_CPU=$(TORCH_CPU) scripts/torch_cpu.sh
	build/extra/bin/python -m pip install --quiet '.[$(EXTRA)]'
	build/extra/bin/python tests/extras.py $(EXTRA)

lock: setup ## Write the versions that are installed in .venv, for all platforms, to requirements.lock
	$(BIN)/python -m pip freeze --exclude-editable > build/installed.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --constraint build/installed.txt \
		--no-annotate --custom-compile-command 'make lock' --quiet --output-file requirements.lock

ui: setup ## Open the MLflow UI on this folder's store, on http://127.0.0.1:5000 (PORT= changes it)
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 \
		--host 127.0.0.1 --port $(PORT) --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlruns/mlflow.db}"

report: setup ## Write the report of the newest sweep
	$(BIN)/python -m scaling.report

reproduce: data ## Run the committed experiments, write docs/reproduced.md; some only: NAMES='quickstart newsgroups'
	$(BIN)/python scripts/reproduce.py $(NAMES)

bench: setup ## Run the benchmarks and print their tables
	$(BIN)/python -m benchmarks

clean: ## Delete caches, features and reports; never mlruns/ or data/
	rm -rf .features reports dist build site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -exec rm -rf {} +
