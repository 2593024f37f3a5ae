"""The chart's values as models, and all that is written from them: values.yaml, its schema, its table, k8s/base."""
