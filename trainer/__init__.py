"""The trainer: one price model for one symbol and preset, from bars to a verified bundle."""

import os

# ONNX Runtime sends reports of its use to its makers unless told before it loads, from a thread that is now and then
# still at work when the process ends, which then aborts. Nothing of a training leaves the machine.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
