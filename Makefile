# Every target makes what it needs: a virtual environment in .venv with minirnn installed from this folder.
# PEERS=1 also installs what tests and benchmarks compare with (PyTorch).
PYTHON ?= python3
PEERS ?=
EXTRAS = dev,all,mpi,sweep$(if $(PEERS),$(comma)peers)
comma := ,
BIN = .venv/bin
WORKERS = --numprocesses 2 --dist worksteal  # most tests keep one core busy
INSTALLED = .venv/installed-$(EXTRAS)

.PHONY: demo test slow properties mutants lint bench dist lowest clean

demo: $(INSTALLED)  ## train a character model on Python's own source, in about two minutes
	$(BIN)/minirnn train --minutes 2

test: $(INSTALLED)  ## what a newcomer waits for
	$(BIN)/python -m pytest -m "not slow" $(WORKERS)

slow: $(INSTALLED)  ## the long tests alone
	$(BIN)/python -m pytest -m "slow and not hypothesis" --durations 20 $(WORKERS)

properties: $(INSTALLED)  ## all properties that Hypothesis tries, long ones too, on 200 examples that are new in each run
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile thorough --durations 20 $(WORKERS)

mutants: $(INSTALLED)  ## break lines one at a time, in copies: do the tests notice? About an hour; ARGS="--only compile"
	$(BIN)/python tests/mutation $(ARGS)

lint: $(INSTALLED)  ## style, types, and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)  ## this project and its peers, side by side
	$(BIN)/python -m benchmarks

dist: $(INSTALLED)  ## the wheel and the sdist, each installed alone and asked to check the built-in cells
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	for made in dist/*; do \
		rm -rf .venv/alone && $(PYTHON) -m venv .venv/alone && .venv/alone/bin/pip install --quiet "$$made" && \
		(cd dist && ../.venv/alone/bin/minirnn check) || exit 1; \
	done

lowest:  ## the tests with the lowest versions of the dependencies that pyproject.toml allows
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/pip install --quiet uv
	.venv/lowest/bin/uv pip install --quiet --python .venv/lowest --resolution lowest-direct --editable '.[fast,dev]'
	.venv/lowest/bin/python -m pytest -m "not slow" $(WORKERS)

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "minirnn needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.11 ...)")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch '$(INSTALLED)'

clean:  ## remove the environment and all caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
