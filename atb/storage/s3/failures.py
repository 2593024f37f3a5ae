"""The kinds of failure of a bucket, and how long each is worth trying again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from atb.errors import Denied, StoreError, StoreSetting, Unreadable

CONFLICT_SECONDS = 15.0
"""How long two conditional writes that met (409) are tried again: neither has lost yet."""
ALTERED_SECONDS = 10.0
"""How long an object is read again whose content is not what was written."""


class Transient(StoreError):
    """The store did not answer, or not completely; the same call may succeed later."""

    retry_seconds = math.inf


class Unclear(Transient):
    """Likewise, but a write may have been applied."""


class Conflict(StoreError):
    """Two conditional writes met; try again."""

    retry_seconds = CONFLICT_SECONDS


class Altered(StoreError):
    """The content read is not what was written."""

    retry_seconds = ALTERED_SECONDS


class Archived(StoreError):
    """The object can't be read until its owner does something about it; others can."""


class NotS3(StoreSetting):
    """The server does not speak S3, or a load balancer answers for it for a while."""

    retry_seconds = math.inf


class ConditionsRejected(StoreSetting):
    """The store does not take conditional writes."""


class ExpiredSession(StoreSetting):
    """The credentials were good until now."""


@contextmanager
def of_object(key: str) -> Iterator[None]:
    """Raises Unreadable, or Denied, for what is wrong with this one object, in spite of several tries."""
    try:
        yield
    except Altered as damage:
        raise Unreadable(str(damage), key) from None
    except Archived as archived:
        raise Denied(str(archived), key) from None


def not_s3(url: str) -> NotS3:
    """What answered does not speak S3."""
    return NotS3(
        f"store {url}: what answers is not S3, but perhaps a web page, a console or a server that wants https://; give "
        "the address of the S3 API as --endpoint-url"
    )


def not_kept(url: str, key: str) -> Unclear:
    """What was sent in parts is not there."""
    return Unclear(f"store {url} did not keep what was sent of {key}; look with: atb doctor")
