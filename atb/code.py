"""What code this is: a digest of the trainer's sources, so that a changed line is a changed model."""

from __future__ import annotations

import functools
import hashlib
import os
from importlib import metadata
from pathlib import Path

import atb
from atb.documents.result import CodeIdentity

IMAGE_VARIABLE = "ATB_IMAGE"
"""Set in a Pod by the launcher to the image it asked for."""

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "pandas", "pyarrow", "onnx", "onnxruntime", "tf2onnx")


@functools.cache
def code_digest() -> str:
    """16 hex digits over the source files of the core and the trainer, in path order."""
    root = Path(atb.__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for package in ("atb", "trainer") for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def code_identity() -> CodeIdentity:
    """The version, digest and image of this code and the versions of the libraries beside it."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return CodeIdentity(
        version=atb.__version__,
        digest=code_digest(),
        image=os.environ.get(IMAGE_VARIABLE) or None,
        packages=packages,
    )
