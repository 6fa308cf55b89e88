.DEFAULT_GOAL := help
.PHONY: help install lock demo test test-unit check up down status bench clean

PYTHON ?= python3
BIN := .venv/bin
# PyTorch is installed by pip, so that a CPU build is taken where the package index offers one; the
# lock files hold everything else.
TORCH := torch==2.13.0

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## Install into .venv and .venv-triton, everything pinned

.venv/.installed: requirements.lock requirements-triton.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PYTHON) -m venv .venv-triton
	$(BIN)/python -m pip install --quiet uv==0.13.9 $(TORCH)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/uv pip install --quiet --python .venv-triton/bin/python --no-deps -r requirements-triton.lock
	$(BIN)/uv pip install --quiet --python .venv-triton/bin/python --no-deps --editable .
	touch $@

lock: ## Resolve the dependencies again, into the lock files
	printf 'torch==2.13.0+cpu\n' > .venv/torch-override.txt
	printf 'numpy==1.26.4\n' > .venv/numpy-override.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --find-links "$${PIP_FIND_LINKS:-.}" --override .venv/torch-override.txt --no-emit-package torch \
	  --generate-hashes --no-header --no-annotate --no-emit-find-links --all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --override .venv/numpy-override.txt \
	  --generate-hashes --no-header --no-annotate requirements-triton.in -o requirements-triton.lock
