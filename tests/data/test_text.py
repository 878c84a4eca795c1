import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.text import NORMALISERS, normaliser
from voxkit.errors import UserError


@given(st.sampled_from(sorted(NORMALISERS)), st.text(max_size=60))
def test_a_normaliser_is_idempotent_and_leaves_single_spaces(name: str, text: str) -> None:
    once = normaliser(name)(text)
    assert once == " ".join(once.split())
    assert normaliser(name)(once) == once


def test_english_loses_punctuation_and_marks_but_not_apostrophes() -> None:
    assert normaliser("asr_en")("Well, it\u2019s  [laughter] 5 o'clock!") == "WELL IT'S 5 O'CLOCK"


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="asr_en"):
        normaliser("english")
