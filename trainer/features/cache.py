"""Features kept in the store by what made them: the set and its code, and the digest of the bars."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atb.contract import keys
from atb.errors import NotFound
from atb.storage import Store
from trainer.bars.columns import array_of, column_of, read_parquet
from trainer.bars.frame import Bars
from trainer.features.sets import Features, FeatureSet, compute_features, feature_hash

log = logging.getLogger(__name__)

_METADATA = b"atb"


def load_features(features: FeatureSet, bars: Bars, store: Store) -> tuple[Features, bool]:
    """The features of these bars, float32 ``[n, F]``, and whether they came from the store.

    A file that is broken, or not made from these bars by this code, is recomputed and replaced. Raises StoreError.
    """
    key = keys.features(feature_hash(features), bars.symbol, bars.timeframe, bars.digest)
    try:
        return _decode(store.get(key), features, bars), True
    except NotFound:
        pass
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        log.warning("%s is broken or not ours (%s); it is made again", key, str(error).splitlines()[0])
    computed = compute_features(features, bars)
    with tempfile.TemporaryDirectory(prefix="atb-") as folder:
        path = Path(folder, "features.parquet")
        _encode(computed, features, bars, path)
        store.put_file(key, path)
    return computed, False


def _encode(computed: Features, features: FeatureSet, bars: Bars, path: Path) -> None:
    schema = pa.schema(
        [(name, pa.float32()) for name in features.columns],
        metadata={_METADATA: json.dumps(_about(features, bars, computed)).encode()},
    )
    columns = [column_of(column) for column in computed.T]
    pq.write_table(pa.table(columns, schema=schema), path, compression="lz4", use_dictionary=False)


def _decode(data: bytes, features: FeatureSet, bars: Bars) -> Features:
    table = read_parquet(data)
    if tuple(table.column_names) != features.columns or len(table) != len(bars):
        raise ValueError(f"it has {len(table)} rows of {', '.join(table.column_names)}")
    found = np.empty((len(table), len(features.columns)), np.float32)
    for number, name in enumerate(features.columns):
        found[:, number] = array_of(table[name])
    if json.loads((table.schema.metadata or {})[_METADATA]) != _about(features, bars, found):
        raise ValueError("its numbers are not those that were written for these bars")
    return found


def _about(features: FeatureSet, bars: Bars, values: Features) -> dict[str, str]:
    return {
        "features": feature_hash(features),
        "bars": bars.digest,
        "values": hashlib.sha256(np.ascontiguousarray(values).data).hexdigest(),
    }
