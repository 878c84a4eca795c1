"""Which sentences an epoch has, as a pure function of (seed, epoch), in memory that no corpus's size matters to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxkit.train.numerics import derive

Indices = NDArray[np.int64]
Words = NDArray[np.uint64]

BLOCK = 256  # sentences side by side that are read together
BUFFER = 64 * BLOCK  # sentences that are mixed with one another
_ROUNDS = 6


@dataclass(frozen=True)
class Order:
    """A corpus without end: all its sentences in random order, then all again in another, and so on.

    Blocks of sentences that stand side by side come in random order, so that the disk is not asked for one sentence at
    a time; the sentences of every 64 blocks are mixed. Nothing is held but the sentences that are asked for.

    Args:
        size: sentences of the corpus.
        seed: decides the order.
    """

    size: int
    seed: int

    def at(self, first: int, count: int) -> Indices:
        """The sentences at `count` places from `first` on, (count,) in [0, size)."""
        parts: list[Indices] = []
        place, end = first, first + count
        while place < end:
            turn, inside = divmod(place, self.size)
            number, start = divmod(inside, BUFFER)
            room = min(BUFFER, self.size - number * BUFFER)
            stop = min(room, start + end - place)
            mixed = np.argsort(_random(derive(self.seed, turn, "buffer", number), room), kind="stable")
            parts.append(self._in_blocks(turn, number * BUFFER + mixed[start:stop]))
            place += stop - start
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _in_blocks(self, turn: int, places: Indices) -> Indices:
        """The sentences at places of an order in which only blocks are mixed."""
        blocks = -(-self.size // BLOCK)
        mixed = Permutation(blocks, derive(self.seed, turn, "blocks"))
        short = blocks * BLOCK - self.size  # so many places of the last block have no sentence
        last = int(mixed.inverse(np.array([blocks - 1]))[0])
        slots = np.where(places < (last + 1) * BLOCK - short, places, places + short)
        distinct, again = np.unique(slots // BLOCK, return_inverse=True)
        return mixed(distinct)[again] * BLOCK + slots % BLOCK


class Permutation:
    """A pseudo-random permutation of 0 ... size - 1 that is computed and not held.

    A Feistel network (Luby & Rackoff 1988) permutes numbers of an even count of bits; what comes out too large is put
    in again until it is not (cycle walking, Black & Rogaway 2002).
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.half = np.uint64(-(-max(size - 1, 1).bit_length() // 2))
        self.mask = (np.uint64(1) << self.half) - np.uint64(1)
        self.keys = _random(seed, _ROUNDS)

    def __call__(self, numbers: Indices) -> Indices:
        """Where each goes, of the same shape."""
        return self._walk(numbers, forward=True)

    def inverse(self, numbers: Indices) -> Indices:
        """Where each comes from, of the same shape."""
        return self._walk(numbers, forward=False)

    def _walk(self, numbers: Indices, forward: bool) -> Indices:
        found = self._once(numbers.astype(np.uint64), forward)
        while (outside := found >= self.size).any():
            found[outside] = self._once(found[outside], forward)
        return found.astype(np.int64)

    def _once(self, numbers: Words, forward: bool) -> Words:
        left, right = numbers >> self.half, numbers & self.mask
        for key in self.keys if forward else self.keys[::-1]:
            if forward:
                left, right = right, left ^ (_scattered(right ^ key) & self.mask)
            else:
                left, right = right ^ (_scattered(left ^ key) & self.mask), left
        return (left << self.half) | right


def drawn(
    sizes: Mapping[str, int], weights: Mapping[str, float], count: int, seed: int, epoch: int
) -> dict[str, Indices]:
    """The sentences of an epoch by corpus.

    After any number of epochs, corpus c has been drawn from within one of `weights[c]` times all sentences (Weyl's
    sequence, with a start that `seed` decides). Each goes on where it was in the epoch before.

    Args:
        sizes: sentences of each corpus.
        weights: share of each corpus, with the sum 1.
        count: sentences of all corpora in an epoch, within one for each corpus.
        seed: decides the order.
    """
    found = {}
    for name, weight in weights.items():
        offset = derive(seed, "share", name) / 2**63
        first, end = (int(np.floor(turn * count * weight + offset)) for turn in (epoch, epoch + 1))
        found[name] = Order(sizes[name], derive(seed, "order", name)).at(first, end - first)
    return found


def _random(seed: int, count: int) -> Words:
    """Random 64-bit words: the part of numpy's generators that never changes between releases."""
    words: Words = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(count)
    return words


def _scattered(x: Words) -> Words:
    """Bits that depend on all bits of a word: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
