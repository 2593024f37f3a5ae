"""Build a trainer's image and the launcher's with buildah, where no container engine runs, and look inside.

    python -m tools.image_check [--variant cpu|gpu] [--base IMAGE]

Needs root, buildah and, without ``--base``, debootstrap for a base of Debian with its own Python. Each step's time and
each image's size are printed. Not part of the suite: it downloads TensorFlow.

The doctor trains under a root that is mounted read-only, as the image's user. Of the CUDA image, without a GPU: every
CUDA library opens apart from those that need the driver and lies where the loader looks, ptxas compiles, and doctor
ends with 21 where a GPU is requested.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASE = "localhost/atb-check-base"
LAUNCHER = "localhost/atb-check-launcher"
TRAINER = "localhost/atb-check-trainer"
PTX = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry nothing(){ ret; }\n"
PACKAGES = "ca-certificates,python3,python3-venv"
RELEASE = "bookworm"
UNWANTED = "command -v gcc cc make pip git; ls -d /root/.cache /opt/atb/bin/pip* 2>/dev/null; true"
WRITABLE = "find / -xdev -writable -type d 2>/dev/null; true"
SCRATCH = ("/tmp", "/var/tmp", "/run", "/var/lock", "/dev", "/proc")
"""Where every user may write in Debian; under a read-only root only the volume at /tmp is left."""


def main() -> None:
    """Build, look, and print what was found. Leaves with 1 where an image is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="an image with Python 3.11 or newer, instead of one made by debootstrap")
    parser.add_argument("--variant", choices=["cpu", "gpu"], default="cpu", help="which TensorFlow the trainer has")
    arguments = parser.parse_args()
    base, variant = arguments.base, arguments.variant
    # A layer for each step of the CUDA image would take three times its size while it is built
    layers = "--layers" if variant == "cpu" else "--layers=false"
    images = {
        "launcher": (LAUNCHER, ["--layers", "--target", "launcher"]),
        "trainer": (f"{TRAINER}-{variant}", [layers, "--build-arg", f"VARIANT={variant}"]),
    }
    for tool in ("buildah", *(() if base else ("debootstrap",))):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not here; get it with: apt-get install buildah debootstrap")
    if base is None:
        base = BASE
        with timed("base"):
            make_base()
    for name, (image, options) in images.items():
        with timed(f"build of the {name}'s image"):
            build(image, base, options)
    if variant == "cpu":
        with timed("build of the trainer's image again, nothing changed"):
            build(images["trainer"][0], base, images["trainer"][1])
    failed = [name for name, (image, _) in images.items() if not inspect(name, image)]
    if variant == "gpu" and not inspect_cuda(images["trainer"][0]):
        failed.append("CUDA")
    if failed:
        raise SystemExit(f"not as it should be: {', '.join(failed)}")


def make_base() -> None:
    """A base image from Debian's packages."""
    if BASE in output_of("buildah", "images", "--format", "{{.Name}}"):
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, f"{folder}/root"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        container = output_of("buildah", "from", "scratch")
        output_of("buildah", "copy", "--quiet", container, f"{folder}/root", "/")
        output_of("buildah", "commit", "--quiet", "--rm", container, BASE)


def build(image: str, base: str, options: list[str]) -> None:
    """Build one image from Dockerfile.gpu as any engine would, with this machine's way to the package index."""
    command = ["buildah", "build", "--isolation", "chroot", "--quiet", "--file", "Dockerfile.gpu"]
    command += ["--ignorefile", ".dockerignore", "--tag", image, "--build-arg", f"BASE_IMAGE={base}", *options]
    command += ["--build-arg", f"REVISION={output_of('git', '-C', str(ROOT), 'rev-parse', 'HEAD')}"]
    for path in index_paths():
        command += ["--volume", f"{path}:{path}:ro"]
    subprocess.run([*command, "."], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def index_paths() -> list[str]:
    """Files and folders of this machine that pip is configured with; they are mounted while an image is built."""
    listed = output_of(sys.executable, "-m", "pip", "config", "list")
    named = re.findall(r"(?:file://)?(/[^\s']+)", re.sub(r"https?://\S+", "", listed))
    files = ["/etc/pip.conf", "/etc/xdg/pip/pip.conf"]
    return sorted({path for path in (*files, *named) if os.path.exists(path)})


def inspect(name: str, image: str) -> bool:
    """Print size, code layer and doctor's findings; whether the image is as it should be."""
    config = json.loads(output_of("buildah", "inspect", "--type", "image", image))["OCIv1"]["config"]
    user, labels = config["User"], config["Labels"]
    print(f"{name}: {output_of('buildah', 'images', '--format', '{{.Size}}', image)}, user {user}, labels {labels}")
    container = output_of("buildah", "from", image)
    try:
        code = output_of(*inside(container, "du", "-cks", *code_folders(container))).splitlines()[-1].split()[0]
        unwanted = output_of(*inside(container, "sh", "-c", UNWANTED)).split()
        writable = output_of(*inside(container, "sh", "-c", WRITABLE)).splitlines()
        outside = [path for path in writable if not path.startswith(SCRATCH)]
        print(f"{name}: the code takes {code} KiB; compilers and caches: {unwanted or 'none'}")
        print(f"{name}: folders its user can write beside scratch: {outside or 'none'}")
        doctor = subprocess.run(
            read_only(container, config["Env"], "atb doctor --store /tmp/store"), check=False, cwd="/"
        )
        helped = subprocess.run(inside(container, "atb-launch", "--help"), check=False, stdout=subprocess.DEVNULL)
    finally:
        output_of("buildah", "rm", container)
    return not (unwanted or outside or doctor.returncode or helped.returncode or user != "10001:10001")


def inspect_cuda(image: str) -> bool:
    """Print what of CUDA does not open; whether all of it does, and doctor says that there is no GPU."""
    container = output_of("buildah", "from", image)
    try:
        broken = output_of(*inside(container, "python", "-c", (ROOT / "tools" / "image_cuda.py").read_text()))
        print(f"CUDA libraries that do not open: {broken or 'none'}")
        compile_ptx = (
            f"printf '%s' '{PTX}' > /tmp/k.ptx && /opt/atb/cuda/bin/ptxas -arch=sm_90 /tmp/k.ptx -o /tmp/k.cubin"
        )
        compiled = subprocess.run(inside(container, "sh", "-c", compile_ptx), check=False).returncode
        doctor = inside(container, "atb", "doctor", "--accelerator", "gpu", "--no-train")
        absent = subprocess.run(doctor, check=False).returncode
        print(f"ptxas: {compiled}; doctor where a GPU is requested: {absent}")
    finally:
        output_of("buildah", "rm", container)
    return not broken and compiled == 0 and absent == 21


def code_folders(container: str) -> list[str]:
    """Where the code lies in an image."""
    script = "import atb, trainer, launcher; print(*atb.__path__, *trainer.__path__, *launcher.__path__)"
    return output_of(*inside(container, "python", "-c", script)).split()


def inside(container: str, *command: str) -> list[str]:
    """A command in a container, as its own user."""
    return ["buildah", "run", "--isolation", "chroot", container, "--", *command]


def read_only(container: str, environment: list[str], command: str) -> list[str]:
    """A command as the image's user in mounts of its own: the root read-only, /tmp a volume, as in a Pod."""
    root = output_of("buildah", "mount", container)
    script = (
        f"mount --bind {root} {root} && mount -o remount,bind,ro {root} && mount -t tmpfs tmpfs {root}/tmp && "
        f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
        f"! chroot --userspec=10001:10001 {root} /bin/sh -c ': > /opt/written' 2>/dev/null && "
        f"exec env -i {shlex.join(environment)} $(command -v chroot) --userspec=10001:10001 {root} {command}"
    )
    return ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script]


def output_of(*command: str) -> str:
    """What a command prints. Raises CalledProcessError."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long it took."""
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
