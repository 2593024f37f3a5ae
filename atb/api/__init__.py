"""The Python API's parts. Only these and ``atb/__init__.py`` reach up to the trainer and the launcher, when called."""
