"""Which part of a corpus something belongs to, where nobody has divided it."""

from __future__ import annotations

import hashlib


def part_of(text: str, dev_share: float, test_share: float) -> str:
    """`train`, `dev` or `test`: a fixed function of the text, so that no text can be in two of them."""
    point = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
    return "test" if point < test_share else "dev" if point < test_share + dev_share else "train"
