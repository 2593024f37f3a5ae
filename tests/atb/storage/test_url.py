"""A store's URL names one place, and never another in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import SpecError
from atb.storage import open_store
from atb.storage.url import Bucket, locate_store


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", Bucket("bucket", "")),
        ("s3://bucket/", Bucket("bucket", "")),
        ("s3://bucket/a", Bucket("bucket", "a/")),
        ("s3://bucket/a/b/", Bucket("bucket", "a/b/")),
        ("s3://my.bucket_1/a=b", Bucket("my.bucket_1", "a=b/")),
        ("store", Path("store")),
        ("./s3:x", Path("s3:x")),
        ("/data/a:b", Path("/data/a:b")),
        ("~/store", Path.home() / "store"),
        ("file:///data/x", Path("/data/x")),
        ("file://localhost/data/x", Path("/data/x")),
        ("file:///data/a%20b", Path("/data/a b")),
    ],
)
def test_a_place_is_found(url: str, place: Bucket | Path) -> None:
    assert locate_store(url) == place


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("s3:/bucket", "is not s3:// and a place; write s3://bucket/prefix"),
        ("s3:bucket", "is not s3:// and a place"),
        ("S3://bucket", "is not s3:// and a place"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket//x", "has an empty part"),
        ("s3://bucket//", "has an empty part"),
        ("s3://bucket//x//y", "has an empty part"),
        ("s3://bucket/x/../y", "has an empty part, . or .. in its prefix"),
        ("s3://bucket/x?region=eu", "can't be part of a prefix"),
        ("s3://bucket/x#y", "can't be part of a prefix"),
        ("s3://b", "is not a bucket's name"),
        ("s3://localhost:9000/bucket", "and the server as --endpoint-url"),
        ("s3://key:secret@bucket/x", "holds a user or a password; .* and set AWS_ACCESS_KEY_ID"),
        ("file://host/data", "names the machine 'host'; write file:///path"),
        ("file://data", "names the machine 'data'"),
        ("file:/data", "is not file:// and a place"),
        ("FILE:///data", "is not file:// and a place"),
        ("gs://bucket/x", "is neither a directory nor s3://bucket/prefix"),
        ("https://bucket.s3.amazonaws.com", "is neither a directory nor"),
        ("//bucket/x", "begins with two slashes"),
        ("~nobody-of-that-name/x", "is not a directory: .*; write its path in full"),
        ("/dev/null", "is no directory; name one, or a new one, as --store"),
        ("", "is not valid"),
        (" ", "is not valid"),
        ("a\0b", "is not valid"),
        ("store\n", "is not valid"),
    ],
)
def test_what_is_no_place_is_refused_and_makes_no_folder(
    url: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=problem) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@given(st.text(st.characters(exclude_categories=()), max_size=40) | st.from_regex(r"\A(s3|file):/{0,3}[\w./:@ ]*\Z"))
def test_whatever_is_written_is_a_place_or_refused(url: str) -> None:
    try:
        place = locate_store(url)
    except SpecError:
        return
    assert isinstance(place, Path) or "//" not in f"/{place.prefix}"
