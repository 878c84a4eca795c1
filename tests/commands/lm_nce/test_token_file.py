"""Windows of tokens on disk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.commands.lm_nce import token_file
from voxkit.commands.lm_nce.token_file import TokenFile, TokenWriter
from voxkit.commands.lm_nce.vocabulary import BEGIN, END


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0, 3, 4, 5, 65_535]), min_size=1, max_size=9), min_size=1, max_size=20),
    st.integers(1, 6),
    st.sampled_from([1 << 16, 70_000]),
)
def test_windows_join_to_the_sentences(
    tmp_path_factory: pytest.TempPathFactory, some: list[list[int]], longest: int, vocabulary: int
) -> None:
    stem = tmp_path_factory.mktemp("tokens") / "text.part"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_file, "AT_ONCE", 10)
        with TokenWriter(stem, vocabulary, longest) as writer:
            for ids in some:
                writer.add(ids)
    file = TokenFile(stem, vocabulary)
    windows = [file[place] for place in range(len(file))]
    assert file.sizes.tolist() == [len(window) for window in windows]
    assert (writer.windows, max(file.sizes)) == (len(file), min(longest, max(map(len, some)) + 1) + 1)
    assert {window.dtype for window in windows} == {np.dtype(np.int32)}
    found: list[list[int]] = []
    for window in windows:
        first, *rest = window.tolist()
        if first == BEGIN:
            found.append([])
        else:
            assert first == found[-1][-1]  # the last word before
        found[-1] += rest
    assert found == [[*ids, END] for ids in some]
    foreseen = np.bincount([token for ids in found for token in ids], minlength=vocabulary)
    assert (writer.counts == foreseen).all()


def test_small_vocabularies_take_two_bytes(tmp_path: Path) -> None:
    for vocabulary, size in ((1 << 16, 2), ((1 << 16) + 1, 4)):
        with TokenWriter(tmp_path / "text", vocabulary, 8) as writer:
            writer.add([vocabulary - 1])
        assert (tmp_path / "text.tokens").stat().st_size == 3 * size
        assert TokenFile(tmp_path / "text", vocabulary)[0].tolist() == [BEGIN, vocabulary - 1, END]
