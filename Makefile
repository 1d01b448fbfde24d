# Every command of the project; `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
export PYTHON VENV

DATASET ?= synthetic
SOURCE ?=
PRESET ?= tiny
SEED ?= 0
WHAT ?= beyond-log
ARGS ?=

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo run claims bench serve refresh ui test lint format types imports compile clean

help:  ## List the commands
	@awk 'BEGIN {FS = ":.*?## "} /^[a-zA-Z_-]+:.*?## / {printf "  \033[36m%-11s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Make the environment (.venv) for running
	@infra/setup.sh runtime

setup-dev:  ## Make the environment with the test tools
	@infra/setup.sh dev

demo: setup  ## The whole path on a synthetic shop, in minutes: knowledge, inference, training, Triton, one ranking
	@$(BIN)/reaseq run --dataset synthetic --preset tiny $(ARGS)

run: setup  ## The same on your data: make run DATASET=ml-100k SOURCE=folder PRESET=small
	@$(BIN)/reaseq run --dataset $(DATASET) $(if $(SOURCE),--source $(SOURCE)) --preset $(PRESET) --seed $(SEED) $(ARGS)

claims: setup  ## Test the ten claims on a dataset: make claims DATASET=amazon-beauty SOURCE=folder PRESET=small
	@$(BIN)/reaseq claims --dataset $(DATASET) $(if $(SOURCE),--source $(SOURCE)) --preset $(PRESET) --seed $(SEED) $(ARGS)

bench: setup  ## Measure inferred behaviours: make bench WHAT=beyond-log|consistency|denoising|infer DATASET=…
	@$(BIN)/reaseq bench $(WHAT) --dataset $(DATASET) $(if $(SOURCE),--source $(SOURCE)) --preset $(PRESET) --seed $(SEED) $(ARGS)

serve: setup  ## Serve the newest run: Triton and the KServe transformer on loopback
	@$(BIN)/reaseq serve $(ARGS)

refresh: setup  ## Infer again for the users who did something since the newest run, into its feature store
	@$(BIN)/reaseq refresh $(ARGS)

ui: setup  ## MLflow's pages over the local runs
	@$(BIN)/reaseq ui $(ARGS)

test: setup-dev lint types imports  ## Lint, types, the import contract and the tests
	@$(BIN)/pytest $(ARGS)

lint: setup-dev  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: setup-dev  ## Let ruff mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: setup-dev  ## mypy on reaseq/
	@$(BIN)/mypy

imports: setup-dev  ## The import contract (who may import whom)
	@$(BIN)/lint-imports --no-cache

compile: setup  ## Compile the pipeline to pipelines/compiled/
	@$(BIN)/python -m pipelines.compile

clean:  ## Remove caches and all of runs/: results, MLflow's store, cached LLM answers
	@rm -rf runs .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
