"""What code this is: a digest of the sources that decide a model, so that a changed line of them is a changed model."""

from __future__ import annotations

import functools
import hashlib
import os
from importlib import metadata
from pathlib import Path

import atb
from atb.contract.features import is_own_set, split_features
from atb.contract.sources import is_own_source, split_source
from atb.contract.spec import Spec
from atb.documents.result import CodeIdentity
from atb.errors import SpecError
from atb.plugins import FEATURES, NETS, SOURCES, require_plugin

IMAGE_VARIABLE = "ATB_IMAGE"
"""The launcher sets this in a Pod to the image it requested."""

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "pandas", "pyarrow", "onnx", "onnxruntime", "tf2onnx")


DECIDES = (
    "atb/contract/bundle.py",
    "atb/contract/features.py",
    "atb/contract/sources.py",
    "atb/contract/timeframe.py",
    "atb/storage/bar_files.py",
    "trainer/bars",
    "trainer/evaluate",
    "trainer/export",
    "trainer/features",
    "trainer/fit",
    "trainer/forecast.py",
    "trainer/networks",
    "trainer/own_process.py",
    "trainer/pipeline",
)
"""All that turns a spec into a model and its numbers. How a spec is resolved is in the spec's own digest; help texts,
the card, the charts, the doctor and the store change no model."""
DECIDES_NOTHING = (
    "trainer/bars/cache/claim.py",
    "trainer/bars/chart.py",
    "trainer/pipeline/compare.py",
    "trainer/pipeline/heartbeat.py",
    "trainer/pipeline/record.py",
    "trainer/pipeline/stages.py",
)


def digested_files(root: Path) -> list[Path]:
    """The source files that decide a model, below ``root``, in path order."""
    found = {path for part in DECIDES for path in [root / part, *(root / part).rglob("*.py")] if path.suffix == ".py"}
    return sorted(found - {root / part for part in DECIDES_NOTHING})


def digest_files(root: Path) -> str:
    """16 hex digits over those files and their names."""
    digest = hashlib.sha256()
    for path in digested_files(root):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def code_digest() -> str:
    """``digest_files`` of this code."""
    return digest_files(Path(atb.__file__).parents[1])


def code_digest_of(spec: Spec) -> str:
    """The same for one spec: with the identity of the parts that it names and that are not ours.

    A part that is not installed here counts as unknown, which no model was made with.
    """
    named = [(NETS, spec.net)] if spec.net else []
    if is_own_set(base := split_features(spec.features)[0]):
        named.append((FEATURES, base))
    if is_own_source(spec.source):
        named.append((SOURCES, split_source(spec.source)[0]))
    if not named:
        return code_digest()
    try:
        identities = [require_plugin(group, name).identity() for group, name in named]
    except SpecError:
        identities = ["unknown"]
    return hashlib.sha256("\0".join([code_digest(), *identities]).encode()).hexdigest()[:16]


def code_identity(spec: Spec | None = None) -> CodeIdentity:
    """The version, digest and image of this code, for a spec with its plug-ins, and the versions of libraries."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return CodeIdentity(
        version=atb.__version__,
        digest=code_digest_of(spec) if spec else code_digest(),
        image=os.environ.get(IMAGE_VARIABLE) or None,
        packages=packages,
    )
