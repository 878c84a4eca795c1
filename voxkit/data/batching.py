"""Batches of similar durations as a pure function of (durations, seed, epoch): resuming is indexing into the list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.errors import UserError

Durations = NDArray[np.float64]
Indices = NDArray[np.int64]


def plan(
    durations: ArrayLike,
    max_duration: float,
    max_cuts: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    buckets: int = 30,
    shuffle: bool = True,
) -> list[Indices]:
    """Divide cuts into batches so that little padding is needed and no batch is too large.

    Dynamic bucketing: cuts go into buckets of similar duration that hold equal shares of the total duration; each
    bucket is shuffled and dealt into batches as large as the limits allow; then the batches are shuffled.

    Args:
        durations: of every cut [s, or any unit such as tokens], (N,).
        max_duration: most that a batch may cost, padding included: its number of cuts times its longest duration.
        max_cuts: most cuts in a batch.
        seed, epoch: decide the order; the same pair always gives the same plan, whatever ran before.
        buckets: how many; more of them means less padding and less mixing of durations.
        shuffle: if False, batches run from the shortest to the longest cuts, with the least padding.

    Returns:
        The batches, each an array of indices into `durations`; every cut is in exactly one.

    Raises:
        UserError: a cut alone costs more than `max_duration`, or a duration is not a positive number.
    """
    lengths = np.asarray(durations, dtype=np.float64)
    if lengths.size == 0:
        return []
    _check(lengths, max_duration, max_cuts, buckets)
    if not shuffle:
        return _deal(np.argsort(lengths, kind="stable"), lengths, max_duration, max_cuts)
    # Raw 64-bit words are the part of numpy's generators that is promised never to change between releases.
    words = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(2 * lengths.size)
    ranks = np.digitize(lengths, _edges(lengths, buckets))
    order = np.lexsort((words[: lengths.size], ranks))  # by bucket, at random inside
    starts = np.flatnonzero(np.diff(ranks[order])) + 1
    batches = [batch for bucket in np.split(order, starts) for batch in _deal(bucket, lengths, max_duration, max_cuts)]
    turn = np.argsort(words[lengths.size : lengths.size + len(batches)], kind="stable")
    return [batches[index] for index in turn]


def worst(batches: Sequence[Indices], durations: ArrayLike) -> int:
    """The index of the batch that costs most: number of cuts times longest duration."""
    return int(np.argmax(costs(batches, durations)))


def costs(batches: Sequence[Indices], durations: ArrayLike) -> Durations:
    """What each batch costs with its padding: number of cuts times longest duration, (len(batches),)."""
    lengths = np.asarray(durations, dtype=np.float64)
    return np.array([len(batch) * lengths[batch].max() for batch in batches])


def _check(lengths: Durations, max_duration: float, max_cuts: int | None, buckets: int) -> None:
    if lengths.ndim != 1 or not np.all(np.isfinite(lengths) & (lengths > 0)):
        wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        raise UserError(
            f"{wrong.size} cuts have no positive duration, the first at index {wrong[0]}",
            fix="remove them from the manifest",
        )
    if buckets < 1 or (max_cuts is not None and max_cuts < 1):
        raise UserError("a plan needs at least one bucket and one cut per batch", fix="raise buckets and max_cuts")
    too_long = int((lengths > max_duration).sum())
    if too_long:
        raise UserError(
            f"{too_long} cuts are longer than a batch may be ({max_duration:g}); the longest is {lengths.max():g}",
            fix=f"raise max_duration to {lengths.max():.6g} at least, or leave those cuts out",
        )


def _edges(lengths: Durations, buckets: int) -> Durations:
    """Durations that divide the cuts into `buckets` of equal total duration, (buckets - 1,)."""
    ordered = np.sort(lengths)
    shares = np.cumsum(ordered)
    wanted = shares[-1] * np.arange(1, buckets) / buckets
    return ordered[np.searchsorted(shares, wanted).clip(max=lengths.size - 1)]


def _deal(order: Indices, lengths: Durations, max_duration: float, max_cuts: int | None) -> list[Indices]:
    """Cut `order` into consecutive batches, each as large as the limits allow."""
    dealt = lengths[order]
    most = min(len(order), max_cuts or len(order), max_duration / dealt.min() + 1)  # no batch can hold more cuts
    sizes = np.arange(1, int(most) + 1)
    batches: list[Indices] = []
    begin = 0
    while begin < len(order):
        longest = np.maximum.accumulate(dealt[begin : begin + len(sizes)])
        cost = longest * sizes[: len(longest)]  # grows with every cut
        count = int(np.searchsorted(cost, max_duration, side="right"))
        batches.append(order[begin : begin + count])
        begin += count
    return batches
