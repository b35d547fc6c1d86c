VENV := .venv
PYTHON := $(VENV)/bin/python
PORT ?= 8080
WORKERS ?= 2

# What fails among hundreds of others on a busy machine is run once more, alone; what fails twice has failed.
define pytest
	@$(PYTHON) -m pytest -n $(WORKERS) $(1) || \
	  { echo "--- run again, alone:"; $(PYTHON) -m pytest --last-failed --last-failed-no-failures none $(1); }
endef

.PHONY: run test test-full test-infra check clients lock bench soak clean help

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run  ## the gateway on http://127.0.0.1:8080, with a pretend Claude unless VERTEX_* names a real one
	@$(PYTHON) -m gateway serve --port $(PORT)

test: $(VENV)/.dev  ## everything that takes seconds, offline
	$(call pytest,-m "not full and not infra")

test-full: $(VENV)/.dev  ## what takes minutes
	$(call pytest,-m full)

test-infra: $(VENV)/.dev  ## terraform, deploy scripts, Cloud Build and the container, without a cloud or an engine
	$(call pytest,--dist loadfile -m infra tests/infra)

check: $(VENV)/.dev  ## lint, types, floors, the deployment's files
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy gateway main.py
	@$(PYTHON) -m pytest tests/test_architecture.py tests/infra/test_files.py

clients:  ## the real Claude Code and Codex CLIs, pinned, outside the repository; for the tests
	@sh tests/clients/install.sh

lock: $(VENV)/.dev  ## the pinned requirements, after a change of pyproject.toml
	@$(PYTHON) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate pyproject.toml -o requirements.txt
	@$(PYTHON) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --extra dev pyproject.toml -o requirements-dev.txt

bench: $(VENV)/.dev  ## performance beside direct, as JSON and tables; PEERS="litellm portkey claude", BENCH=--quick
	@$(PYTHON) -m bench --peers "$(PEERS)" $(BENCH)

soak: $(VENV)/.dev  ## an hour of streams, hang-ups and faults; MINUTES=2 for a short one, RATE=0 for a hard one
	@$(PYTHON) -m bench soak --minutes $(or $(MINUTES),60) --rate $(or $(RATE),12)

clean:  ## forgets environment, caches and the laptop's store
	rm -rf $(VENV) .gateway .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@python3 -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Tollgate needs Python 3.11 or newer")'
	@python3 -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "installing the pinned requirements …"
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt | $(VENV)/bin/python
	@echo "installing the pinned requirements for development …"
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/.run
