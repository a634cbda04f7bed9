# `make demo` shows the product, `make test` proves it. Both work on a machine that has Python >= 3.11 and make;
# the first run creates .venv, later runs start at once.

VENV ?= .venv
PYTHON := $(VENV)/bin/python
PORT ?= 8000
ARGS ?=

export PORT DEMO_RESET

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench faults lint migrations schema pictures clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo-installed ## Run the demo shop (PORT=8000; DEMO_RESET=1 starts afresh; Ctrl-C ends it)
	@exec $(PYTHON) -m demo.supervisor

test: $(VENV)/.tests-installed ## Check and test everything (ARGS="-k words" picks tests)
	@exec $(PYTHON) -m tests.run $(ARGS)

bench: $(VENV)/.tests-installed ## Measure decisions, requests and the way of the money (ARGS="--quick": a tenth of the refunds)
	@exec $(PYTHON) -m tests.bench $(ARGS)

faults: $(VENV)/.tests-installed ## Kill, cut and flood what moves the money, and count (ARGS="--short")
	@exec $(PYTHON) -m tests.faults $(ARGS)

lint: $(VENV)/.tests-installed ## Format, types, import contracts, migrations and schema only
	@exec $(PYTHON) -m tests.run --checks-only

migrations: $(VENV)/.demo-installed ## Write migrations for changed models
	$(PYTHON) demo/manage.py makemigrations $(ARGS)

schema: $(VENV)/.demo-installed ## Export graphql/schema.graphql from the code
	$(PYTHON) demo/manage.py refunds_export_schema

pictures: $(VENV)/.tests-installed ## Make the pictures in docs/ anew from the browser tests
	$(PYTHON) -m tests.run --tests-only tests/e2e
	cd tests/artefacts && cp $(notdir $(wildcard docs/pictures/*.png)) ../../docs/pictures/

clean: ## Remove .venv, the demo's state and caches
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache tests/artefacts

$(PYTHON):
	@.ci/make-venv $(VENV)

$(VENV)/.demo-installed: $(PYTHON) setup.cfg pyproject.toml demo/requirements.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable ".[all]" --requirement demo/requirements.txt
	@touch $@

$(VENV)/.tests-installed: $(VENV)/.demo-installed tests/requirements.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@
