# Included by the Makefile. PYTHON is its interpreter.

.PHONY: tools image-check chart-docs

tools: ## helm and kubectl into .tools/ where neither is on the PATH
	$(PYTHON) -m tools.unpack

chart-docs: tools ## values.yaml, values.schema.json, the chart's table of values and k8s/base from their models
	$(PYTHON) -m tools.chart

image-check: ## build the CPU image and the launcher's with buildah and run atb doctor inside
	$(PYTHON) -m tools.image_check
