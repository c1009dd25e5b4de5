# `make demo` and `make test` are all that a newcomer needs; each installs what is missing first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# A worker for each core: the libraries' own threads would only get in each other's way.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-all lint format schema docs ios-bundle clean

help:
	@echo "make demo      train, export, measure a small network; opens in runs/demo/report.html"
	@echo "make docs      the documentation as a site, in build/site"
	@echo "make test      the quick tests"
	@echo "make test-slow  the tests that take longer, half an hour"
	@echo "make test-all  all tests, hours"
	@echo "make lint      ruff and mypy"
	@echo "make format    let ruff rewrite what it can"
	@echo "make schema    write the JSON Schemas of manifest and result, and the table of doubts, anew"
	@echo "make ios-bundle CKPT=FILE [EXPORT=OPTIONS]  put a network into the iOS app"
	@echo "make clean     remove what can be made again, the environment included"

install: $(STAMP)

# Reinstalls only when the dependencies may have changed.
$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'gfnet needs Python 3.11 or newer; pass PYTHON=...')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 5 GB, a few minutes"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/gfnet demo --out runs/demo --overwrite

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test: install
	@command -v swift > /dev/null || echo "no Swift toolchain here: the phone's code in ios_demo/ is not tested"
	$(PYTEST)

test-slow: install
	$(PYTEST) -m slow

test-all: install
	$(PYTEST) -m "slow or not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schema: install
	$(BIN)/python -m gfnet_export.bundle.manifest > export/gfnet_export/bundle/manifest.schema.json
	$(BIN)/python -m gfnet.results.schema > gfnet/results/result.schema.json
	$(BIN)/python -m gfnet.results.doubts > gfnet/results/doubts.json

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Options of `gfnet export coreml` besides: make ios-bundle CKPT=run/model.safetensors EXPORT="--compress int8"
ios-bundle: install
	@test -n "$(CKPT)" || { echo "which network? make ios-bundle CKPT=run/model.safetensors" >&2; exit 2; }
	$(BIN)/gfnet export coreml "$(CKPT)" --out ios_demo/GFNetDemo/GFNetDemo/Network/bundle --overwrite $(EXPORT)

clean:
	rm -rf $(VENV) build dist runs .build .swiftpm .pytest_cache .mypy_cache .ruff_cache *.egg-info
