"""What keeps botocore from our credentials, and what is wrong with how it is set up, in our own words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from botocore import exceptions as boto

from atb.errors import StoreError, StoreSetting
from atb.storage.s3.failures import Unclear

_CODE = re.compile(r"[A-Za-z0-9.]{1,70}")
TRANSIENT_CODES = frozenset(
    {
        "BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
        "XAmzContentSHA256Mismatch",
    }
)  # fmt: skip
SETTINGS: tuple[tuple[type[Exception], str], ...] = (
    (boto.ProfileNotFound, "there is no such profile: look at AWS_PROFILE and ~/.aws/config"),
    (boto.ConfigParseError, "a configuration file can't be read: look at ~/.aws/config and ~/.aws/credentials"),
    (boto.ConfigNotFound, "a configuration file does not exist: look at AWS_CONFIG_FILE"),
    (boto.NoCredentialsError, "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in"),
    (boto.MissingDependencyException, "this kind of login needs the library awscrt: pip install awscrt"),
    (boto.SSOError, "the login has expired: aws sso login"),
    (boto.LoginError, "the login has expired: aws login"),
    (boto.NoRegionError, "no region is set: set AWS_REGION"),
    (boto.InvalidRegionError, "the region does not exist: look at AWS_REGION"),
    (boto.InvalidProxiesConfigError, "the proxy can't be used: look at HTTPS_PROXY and AWS_CA_BUNDLE"),
    (boto.ParamValidationError, "the bucket's name is not one that S3 allows"),
    (boto.SSLError, "its certificate is not trusted: name the authority's file in AWS_CA_BUNDLE"),
)
_LOGIN = ("botocore.credentials", "botocore.tokens")
"""Modules that load and renew credentials, by files, commands and requests of their own."""
_FETCHING = (
    boto.HTTPClientError, boto.CredentialRetrievalError, boto.MetadataRetrievalError, boto.TokenRetrievalError,
    ConnectionError, TimeoutError,
)  # fmt: skip
_SETUP = "look at the AWS_… variables, ~/.aws/config and ~/.aws/credentials"


def is_login(modules: tuple[str, ...]) -> bool:
    """Whether an exception that passed through these modules arose while credentials were loaded or renewed."""
    return any(name in _LOGIN for name in modules)


def modules_of(error: BaseException) -> Iterator[str]:
    """The modules that an exception passed through."""
    trace = error.__traceback__
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next


def explain_setup(error: Exception, url: str) -> StoreSetting:
    """What botocore can't work with, by the name of its error."""
    if isinstance(error, boto.InvalidConfigError) and "Invalid CA bundle" in str(error):
        return StoreSetting(
            f"store {url}: AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle in ~/.aws/config is empty; leave it out, or "
            "name a file of certificates"
        )
    return StoreSetting(f"store {url} can't be used as it is set up ({type(error).__name__}); {_SETUP}")


def explain_login(error: Exception, url: str) -> StoreError:
    """What keeps botocore from our credentials."""
    if isinstance(error, boto.ClientError):
        status, code = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), code_of(error)
        if status >= 500 or status == 429 or code in TRANSIENT_CODES:
            return Unclear(
                f"store {url}: the credentials could not be fetched: {error.operation_name} was not answered"
            )
        return StoreSetting(
            f"store {url}: {error.operation_name} for the credentials was refused ({code or status}); "
            "log in again, or look at the role and its trust policy"
        )
    if isinstance(error, OSError) and error.filename and not isinstance(error, ConnectionError):
        return StoreSetting(
            f"store {url}: {error.filename}, which the credentials come from, can't be used: {error.strerror}"
        )
    if isinstance(error, boto.PartialCredentialsError):
        return StoreSetting(
            f"store {url}: part of the credentials is missing: {error.kwargs.get('cred_var')}; {_SETUP}"
        )
    if isinstance(error, boto.CredentialRetrievalError) and error.kwargs.get("provider") == "custom-process":
        return StoreSetting(f"store {url}: the command of credential_process failed, or printed no key; run it by hand")
    for kind, words in SETTINGS:
        if isinstance(error, kind) and kind is not boto.ParamValidationError:
            return StoreSetting(f"store {url}: {words}")
    if isinstance(error, _FETCHING) and not has_bad_header(error):
        return Unclear(f"store {url}: the credentials could not be fetched; look with: atb doctor")
    return StoreSetting(f"store {url}: the credentials can't be loaded ({type(error).__name__}); {_SETUP}")


def code_of(error: boto.ClientError) -> str:
    """The error's name; empty where an answer calls something else so, which is not printed."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else ""


def has_bad_header(error: Exception) -> bool:
    """Whether a header could not be built, as of a credential with a line break in it."""
    return isinstance(error, boto.HTTPClientError) and isinstance(error.kwargs.get("error"), ValueError)
