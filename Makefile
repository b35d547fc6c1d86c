VENV := .venv
PYTHON := $(VENV)/bin/python
PORT ?= 8080

.PHONY: run test test-full check clients lock clean

run: $(VENV)/.run
	@$(PYTHON) -m gateway serve --port $(PORT)
