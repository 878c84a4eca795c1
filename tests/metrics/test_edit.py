from hypothesis import given
from hypothesis import strategies as st

from voxkit.metrics.edit import Errors, align, count, errors

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=9)


def distance(ref: list[str], hyp: list[str]) -> int:
    """Levenshtein's recursion, one row at a time."""
    row = list(range(len(hyp) + 1))
    for i, said in enumerate(ref, start=1):
        new = [i]
        for j, heard in enumerate(hyp, start=1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (said != heard)))
        row = new
    return row[-1]


@given(WORDS, WORDS)
def test_the_number_of_errors_is_the_edit_distance(ref: list[str], hyp: list[str]) -> None:
    found = errors(ref, hyp)
    assert found.count == distance(ref, hyp)
    assert found.total == len(ref)
    assert len(ref) - found.deletions + found.insertions == len(hyp)


@given(WORDS, WORDS)
def test_an_alignment_reads_as_both_sides_and_counts_the_same(ref: list[str], hyp: list[str]) -> None:
    pairs = align(ref, hyp)
    assert [pair.ref for pair in pairs if pair.op != "ins"] == ref
    assert [pair.hyp for pair in pairs if pair.op != "del"] == hyp
    assert all((pair.op == "cor") == (pair.ref == pair.hyp) for pair in pairs)
    assert count(pairs).count == distance(ref, hyp)
    assert count(pairs).total == len(ref)


def test_errors_add_up_and_print_as_kaldi_does() -> None:
    both = Errors(773, 4, 6, 20) + Errors(0, 0, 0, 3)
    assert both.line("WER", "exp/a") == "%WER 4.27 [ 33 / 773, 4 ins, 6 del, 23 sub ] exp/a"
    assert Errors(0, 2, 0, 0).rate == 200.0
