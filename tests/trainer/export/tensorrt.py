"""TensorRT for RTX, an optional package that builds engines without a GPU: whether it takes a model.

``ATB_TEST_TENSORRT`` may name a Python that has it: it needs no TensorFlow, and its libraries are large.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

PACKAGE = "tensorrt_rtx"
_BUILD = f"""
import sys
import {PACKAGE} as trt
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(0)
parser = trt.OnnxParser(network, logger)
if not parser.parse(sys.stdin.buffer.read()):
    print("\\n".join(parser.get_error(number).desc() for number in range(parser.num_errors)) or "not parsed")
else:
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for number in range(network.num_inputs):
        each = network.get_input(number)
        shapes = [tuple(batch if size == -1 else size for size in each.shape) for batch in (1, 1, 64)]
        profile.set_shape(each.name, *shapes)
    config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        print("no engine was built")
"""


def find_tensorrt() -> str | None:
    """A Python that has it, or None."""
    return os.environ.get("ATB_TEST_TENSORRT") or (sys.executable if importlib.util.find_spec(PACKAGE) else None)


def build_by_tensorrt(model: bytes) -> list[str]:
    """What TensorRT has against a model, or against an engine of it for batches of 1 to 64."""
    python = find_tensorrt()
    assert python is not None
    answer = subprocess.run([python, "-c", _BUILD], input=model, capture_output=True, check=True)
    return answer.stdout.decode().splitlines()
