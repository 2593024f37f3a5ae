"""Made-up bars for trying things out: every value follows from symbol, timeframe and time alone.

Numbers come from a hash of their position, so any window can be made without making what lies before it. Returns
are white with clustered volatility and fat tails, so that nothing can be learnt from them but their size; volume
follows the volatility, the size of the move and the hour of the day.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.storage.fingerprints import SAMPLE
from trainer.bars.frame import Bars, Floats, empty_bars

LISTED_MS = 1_420_070_400_000
"""2015-01-01: no bar opens before it."""

_DAY_MS = 86_400_000
_HOURLY_VOLATILITY = 0.006

_Words = npt.NDArray[np.uint64]


class SampleSource:
    """Bars that no market made."""

    name = "sample"
    synthetic = True
    live = False

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows with ``start_ms <= open time < end_ms``; the same whatever the window."""
        step, offset = tf.to_ms(timeframe), tf.grid_offset_ms(timeframe)
        origin = -((offset - LISTED_MS) // step)  # the first grid index at or after the listing
        first, stop = max(origin, -((offset - start_ms) // step)), -((offset - end_ms) // step)
        if first >= stop:
            return empty_bars(symbol, timeframe, synthetic=True)
        noise = _Noise(f"{self._seed}/{market}/{symbol}/{timeframe}")
        block = max(1, _DAY_MS // step)
        first_block, stop_block = (first - origin) // block, -((origin - stop) // block)
        bars = np.arange(first_block * block, stop_block * block, dtype=np.int64)
        scale = _HOURLY_VOLATILITY * np.sqrt(step / 3_600_000)

        volatility = scale * np.exp(noise.smooth("volatility", bars / block, (1, 7, 45)))
        kicks = volatility * noise.fat("return", bars)
        log_close = _anchored_walk(noise, kicks, block, first_block, scale)

        log_open = np.concatenate([[_block_level(noise, block, first_block, scale)[-1]], log_close[:-1]])
        spread = volatility[:, None] * np.abs(noise.normal_pairs("wick", bars)) * 0.6
        log_high = np.maximum(log_open, log_close) + spread[:, 0]
        log_low = np.minimum(log_open, log_close) - spread[:, 1]

        moved = np.abs(kicks) / scale
        hour = ((bars + origin) * step + offset) % _DAY_MS / _DAY_MS
        log_volume = (
            0.9 * np.log(volatility / scale)
            + 0.5 * np.log1p(moved)
            + 0.25 * np.cos(2 * np.pi * (hour - 0.62))
            + 0.35 * noise.normal("volume", bars)
        )
        price, turnover = noise.start_price(), 4e6 * step / 3_600_000
        decimals = 4 - int(np.floor(np.log10(price)))
        prices = np.round(price * np.exp(np.stack([log_open, log_high, log_low, log_close], axis=1)), decimals)
        prices = np.maximum(prices, 10.0**-decimals)
        volume = np.round(turnover / price * np.exp(log_volume), 3)
        chosen = slice(first - origin - int(bars[0]), stop - origin - int(bars[0]))
        return Bars(
            symbol,
            timeframe,
            ((bars + origin) * step + offset)[chosen],
            np.column_stack([prices, volume])[chosen],
            synthetic=True,
            origins={SAMPLE: SAMPLE},
        )


def _anchored_walk(noise: _Noise, kicks: Floats, block: int, first_block: int, scale: float) -> Floats:
    """Log-closes from bar-wise kicks, bent so that each block ends where the walk of the blocks says.

    Taking the block's mean off and adding an independent one of the same size leaves the kicks uncorrelated.
    """
    level = _block_level(noise, block, first_block + len(kicks) // block, scale)[first_block:]
    by_block = kicks.reshape(-1, block)
    steps = by_block - by_block.mean(axis=1, keepdims=True) + np.diff(level)[:, None] / block
    walk: Floats = (level[:-1, None] + np.cumsum(steps, axis=1)).reshape(-1)
    return walk


def _block_level(noise: _Noise, block: int, stop: int, scale: float) -> Floats:
    """Log-price at the start of blocks ``0 … stop``, relative to the first price."""
    blocks = np.arange(stop, dtype=np.int64)
    size = scale * np.sqrt(block) * np.exp(noise.smooth("volatility", blocks.astype(np.float64) + 0.5, (7, 45)))
    return np.concatenate([[0.0], np.cumsum(size * noise.normal("level", blocks))])


class _Noise:
    """Random numbers by position: splitmix64 of a key and an index."""

    def __init__(self, key: str) -> None:
        self._key = key

    def uniform(self, stream: str, index: npt.NDArray[np.int64]) -> Floats:
        """In (0, 1)."""
        seed = np.frombuffer(hashlib.sha256(f"{self._key}/{stream}".encode()).digest()[:8], "<u8")[0]
        mixed = _splitmix(seed ^ _splitmix(index.astype(np.uint64)))
        numbers: Floats = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return numbers

    def normal_pairs(self, stream: str, index: npt.NDArray[np.int64]) -> Floats:
        """Two independent standard normals an index, ``[n, 2]`` (Box and Muller, 1958)."""
        radius = np.sqrt(-2 * np.log(self.uniform(f"{stream}/radius", index)))
        angle = 2 * np.pi * self.uniform(f"{stream}/angle", index)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    def normal(self, stream: str, index: npt.NDArray[np.int64]) -> Floats:
        """One standard normal an index."""
        return self.normal_pairs(stream, index)[:, 0]

    def fat(self, stream: str, index: npt.NDArray[np.int64]) -> Floats:
        """Of unit variance with fat tails: a normal whose size is log-normal."""
        pairs = self.normal_pairs(stream, index)
        spread = 0.45
        tails: Floats = pairs[:, 0] * np.exp(spread * pairs[:, 1] - spread**2)
        return tails

    def smooth(self, stream: str, at: Floats, periods: tuple[int, ...]) -> Floats:
        """A slow random curve: normals at whole multiples of each period, blended in between, summed."""
        total = np.zeros(len(at))
        for period in periods:
            position = at / period
            left = np.floor(position).astype(np.int64)
            part = position - left
            weight = part * part * (3 - 2 * part)
            name = f"{stream}/{period}"
            total += 0.3 * ((1 - weight) * self.normal(name, left) + weight * self.normal(name, left + 1))
        return total

    def start_price(self) -> float:
        """Between 0.1 and 10,000."""
        return float(10.0 ** (5 * self.uniform("price", np.zeros(1, np.int64))[0] - 1))


def _splitmix(words: _Words) -> _Words:
    """Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))
