"""Fitting a net: where it runs, how a step is compiled, when it stops, how it resumes."""

import trainer.networks.backend  # noqa: F401  before TensorFlow, which would bring Keras as the user's file has it
