# Python 3.11 or newer and make are all that must be there. Everything else goes into .venv and .tools.
PYTHON := .venv/bin/python
BASE ?= python3
INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# one more than the cores of a small machine: many tests wait for processes and servers
WORKERS ?= 3
DEMO := atb-launch --symbols BTCUSDT,ETHUSDT --preset fast --backend local --source sample --store ./store

.PHONY: help demo demo-picture test suite test-cluster fuzz simulate lint types clean

help: ## list all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/demo.stamp ## train two symbols on made-up bars, on this machine
	.venv/bin/$(DEMO)

demo-picture: .venv/demo.stamp ## docs/demo.svg: the demo again, as a picture of what it prints
	$(PYTHON) -m tools.picture docs/demo.svg $(DEMO)

test: lint ## everything it needs, then types and the whole suite side by side
	$(MAKE) --no-print-directory --jobs 2 types suite

suite: .venv/test.stamp tools ## the tests alone, on WORKERS processes
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --quiet

simulate: .venv/test.stamp ## whole nights on virtual time: SEEDS=0-499 JOBS=24
	$(PYTHON) -m tests.simulation --seeds $(or $(SEEDS),0-99) --jobs $(or $(JOBS),24)

fuzz: .venv/test.stamp ## thousands of made-up command lines, documents, files of bars, specs, symbols and keys
	$(PYTHON) -m pytest --quiet --timeout 0 --hypothesis-profile fuzz tests/fuzz tests/trainer/bars/files/test_fuzz.py tests/atb/contract tests/atb/storage/test_url.py

test-cluster: .venv/test.stamp tools ## fan-outs and the chart on the cluster of ATB_TEST_KUBECONFIG, with the image of ATB_TEST_IMAGE, which has a sh
	test -n "$$ATB_TEST_KUBECONFIG"
	$(PYTHON) -m pytest -m cluster --quiet tests/launcher tests/chart

lint: .venv/test.stamp ## ruff: rules and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: .venv/test.stamp ## mypy, strict
	$(PYTHON) -m mypy

clean: ## remove what make has put here, and nothing of yours
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@$(BASE) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(BASE) is older than Python 3.11; name a newer one: make BASE=python3.12 …" >&2; exit 1; }
	$(BASE) -m venv --upgrade-deps .venv

# pip would compile on one core, and also what next to nothing here imports
.venv/demo.stamp: EXTRAS := train-cpu
.venv/test.stamp: EXTRAS := train-cpu,ccxt,test
.venv/demo.stamp .venv/test.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[$(EXTRAS)]'
	-$(PYTHON) -m compileall -q -j 0 -x '/(tests|aio|async_support|pro|pip|setuptools|mypy|fontTools)/|/kubernetes/client/(api|models)/' .venv/lib
	touch .venv/demo.stamp $@

tools chart-docs image-check locks sbom audit gpu-check: | .venv/bin/python

-include tools/tools.mk
