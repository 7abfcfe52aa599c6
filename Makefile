# Everything a stranger needs: `make demo` and `make test`. Each builds .venv if it is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-all format clean

demo: $(STAMP)
	$(BIN)/discover run datasets/recipes/double_pendulum.toml --out reports/double_pendulum
	$(BIN)/discover run datasets/recipes/panda.toml --out reports/panda

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
# One core checks types; the other compiles what pip left, or every test process would.
	$(BIN)/python -m compileall -qq $(VENV)/lib >/dev/null 2>&1 & \
	    $(BIN)/mypy; status=$$?; wait; exit $$status
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
	    -m "not slow and not gpu and not julia"

test-all: $(STAMP)
	$(BIN)/pytest

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV)
