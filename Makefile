# make demo    train the demonstration model and draw its pictures into examples/out
# make test    run the tests                    (make test ARGS="-k matmul" runs some)
# make lint    ruff, and mypy on the public interface
# make fuzz    the randomised tests with many more cases   (make fuzz EXAMPLES=10000)
# make programs   random programs, against NumPy        (make programs EXAMPLES=10000)
# make bench   the asv benchmarks of this commit           (make bench ARGS="--bench Elementwise")
# make docs    the documentation as HTML in docs/_build
#
# Needs make and Python 3.11 or later; everything else is installed into $(VENV) on first use.
# PYTHON=/path/to/python chooses the interpreter, VENV=/path another place for the environment.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
WORKERS ?= 2
EXAMPLES ?= 2000
ARGS ?=

# what the installation depends on: a change of these installs, and so compiles, again
SOURCES := pyproject.toml setup.py $(wildcard tracejit/_*.c tracejit/_*.h)

.PHONY: demo test lint ruff mypy fuzz programs bench docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/.viz
	$(BIN)/python examples/logistic_regression.py $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

lint: ruff mypy

ruff: $(VENV)/.test
	$(BIN)/python -m ruff check --output-format concise .

mypy: $(VENV)/.test
	$(BIN)/python -m mypy

fuzz: $(VENV)/.test
	TRACEJIT_FUZZ=$(EXAMPLES) $(BIN)/python -m pytest -q -n $(WORKERS) -m fuzz $(ARGS)

programs: $(VENV)/.test
	TRACEJIT_FUZZ=$(EXAMPLES) $(BIN)/python -m pytest -q -n $(WORKERS) tests/test_program_fuzz.py $(ARGS)

bench: $(VENV)/.bench
	cd asv_bench && ../$(BIN)/python -m asv machine --yes
	cd asv_bench && ../$(BIN)/python -m asv run --python=same --set-commit-hash "$$(git rev-parse HEAD)" --show-stderr $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build

clean:
	rm -rf build dist docs/_build examples/out .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	rm -f tracejit/_dispatch.*.so tracejit/_dispatch.*.pyd

# one stamp per extra; the last line of the recipe is reached only when all before it succeeded
$(VENV)/.viz $(VENV)/.test $(VENV)/.bench $(VENV)/.docs: $(VENV)/.%: $(VENV)/.python $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[$*]"
	@touch $@

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found; name it: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
