"""A real S3 server behind a proxy that fails as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from atb.storage import Store, open_store
from tests.s3_proxy import FaultProxy


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(s3_url: str, proxy: FaultProxy) -> Store:
    store = open_store(s3_url, proxy.url)
    store.put("there", b"before")
    return store
