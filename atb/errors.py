"""Every known kind of failure.

Each class owns one exit code; ``atb.contract.exits`` says what a code means and what helps.
Any exception outside this tree is a bug and leaves with code 70, unless the machine has no more memory, files,
processes or disk: that is 75.

    AtbError
    ├── SpecError                2    what was asked for makes no sense
    │   └── Unreadable                … a document in the store that can't be read
    │       └── Denied                … because this user may not, or it lies in an archive
    ├── DataError               10    these bars can't be used, now or later
    ├── DataNotReady            11    these bars are not there yet
    ├── Diverged                20    the loss is not a number
    ├── NoAccelerator           21    a GPU was asked for and none was found
    ├── DeviceFull              22    a step does not fit into the device's memory
    ├── ExportError             30    the exported model is not the trained one
    ├── Unavailable             75    the outside world did not answer
    │   ├── NetworkError              … an exchange or an API server
    │   └── StoreError                … the object store
    │       ├── NotFound              no object at that key
    │       ├── PreconditionFailed    someone else was first
    │       └── StoreSetting     2    a setting keeps us out: credentials, region, endpoint, quota
    └── Stopped                143    stopped by a signal; the next attempt resumes
"""

from __future__ import annotations

from atb.redaction import redact


class AtbError(Exception):
    """A known failure: one line that says what, where and what to do. What looks like a secret in it is masked at once,
    since it ends in logs, documents and tables as well as on a terminal."""

    exit_code = 70

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class SpecError(AtbError):
    """The request makes no sense."""

    exit_code = 2


class Unreadable(SpecError):
    """A document in the store is damaged, foreign, of a newer version, or in the wrong place: ``key`` says which."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key or message.partition(" ")[0]


class Denied(Unreadable):
    """This user may not read it, or it lies in an archive: nothing says that it is damaged, and it is not moved."""


class DataError(AtbError):
    """These bars can't be used, now or later."""

    exit_code = 10


class DataNotReady(AtbError):
    """These bars are not there yet."""

    exit_code = 11


class Diverged(AtbError):
    """The loss is not a number."""

    exit_code = 20


class NoAccelerator(AtbError):
    """A GPU was requested and none was found."""

    exit_code = 21


class DeviceFull(AtbError):
    """A step does not fit into the device's memory."""

    exit_code = 22


class ExportError(AtbError):
    """The exported model is not the trained one."""

    exit_code = 30


class Unavailable(AtbError):
    """The outside world did not answer."""

    exit_code = 75
    retry_seconds: float = 0.0
    """How long the call is worth trying again; 0 where the answer would be the same."""
    retry_after: float | None = None
    """Seconds to wait, as requested by the other side."""


class NetworkError(Unavailable):
    """An exchange or an API server did not answer."""


class StoreError(Unavailable):
    """The object store did not answer, or refused."""


class NotFound(StoreError):
    """No object at that key."""


class PreconditionFailed(StoreError):
    """Someone else was first."""


class StoreSetting(StoreError):
    """The object store can't be used with these settings, now or later."""

    exit_code = 2


class Stopped(AtbError):
    """Stopped by a signal; the next attempt resumes from the checkpoint."""

    exit_code = 143
