"""Minimum Bayes risk and confusion networks against enumeration of all paths."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small_lattices import paths, small_lattices
from voxkit.decode import confusion
from voxkit.decode.confusion import DELTA, ConfusionNetwork, confusion_network, risk
from voxkit.decode.lattice import Lattice
from voxkit.errors import UserError
from voxkit.metrics.edit import errors

SLACK = 12 * DELTA  # what the preference for empty bins may add to the risk of short sequences


def sequences(lattice: Lattice) -> dict[tuple[int, ...], float]:
    """The probability of every word sequence."""
    walks = paths(lattice)
    costs = np.array([walk.cost for walk in walks])
    shares = np.exp(costs.min() - costs)
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for walk, share in zip(walks, shares / shares.sum(), strict=True):
        found[walk.words] += float(share)
    return dict(found)


def true_risk(said: dict[tuple[int, ...], float], words: Sequence[int]) -> float:
    """The expected edit distance between word sequences and a hypothesis."""
    return sum(p * errors([str(w) for w in seq], [str(w) for w in words]).count for seq, p in said.items())


def counts(network: ConfusionNetwork) -> Counter[int]:
    """How often each word is to be expected in the bins."""
    found: Counter[int] = Counter()
    for word, posterior in zip(network.word.tolist(), network.posterior.tolist(), strict=True):
        found[word] += posterior
    return found


def bin_risk(network: ConfusionNetwork) -> float:
    """The expected number of bins in which something else than the hypothesis was said."""
    own = confusion.around(network.hypothesis)
    likely = [dict(zip(*map(np.ndarray.tolist, network.bin(b)[:2]), strict=True)) for b in range(network.num_bins)]
    return sum(1 - bin_.get(int(word), 0.0) for bin_, word in zip(likely, own, strict=True))


@st.composite
def nbest_lists(draw: st.DrawFn) -> Lattice:
    """Lattices of a prefix tree's kind: no state but the last is entered by two arcs."""
    number = draw(st.integers(1, 6))
    columns: list[list[float]] = [[] for _ in range(7)]
    state, entering = 0, []
    for _ in range(number):
        words = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
        cost = draw(st.floats(0, 4, width=32))
        here = 0
        for place, word in enumerate(words):
            state += 1
            last = place == len(words) - 1
            arc = (here, state, word, 2 * place, 2 * place + 2, cost if last else 0.0, 0.0)
            for column, value in zip(columns, arc, strict=True):
                column.append(value)
            if last:
                entering.append(len(columns[1]) - 1)
            here = state
    for arc in entering:
        columns[1][arc] = state + 1
    used = np.unique([0, *columns[0], *columns[1]])
    columns[:2] = [np.searchsorted(used, column).tolist() for column in columns[:2]]
    return Lattice.build(len(used), 10, *columns)


@given(small_lattices(), st.booleans())
def test_bins_add_up_to_one_and_are_sorted(lattice: Lattice, mbr: bool) -> None:
    network = confusion_network(lattice, mbr)
    assert network.num_bins == 2 * len(network.hypothesis) + 1
    own = confusion.around(network.hypothesis)
    for index in range(network.num_bins):
        word, posterior, start, end = network.bin(index)
        assert posterior.sum() == pytest.approx(1, abs=1e-6)
        assert (np.diff(posterior) <= 1e-6).all()
        assert len(set(word.tolist())) == len(word)
        assert own[index] in word
        assert (start <= end).all()
        assert start.min() >= 0
        assert end.max() <= lattice.num_frames
        assert set(word.tolist()) <= {0, *lattice.word.tolist()}


@given(small_lattices(), st.booleans())
def test_words_lie_in_bins_or_were_inserted_between_them(lattice: Lattice, mbr: bool) -> None:
    network = confusion_network(lattice, mbr, floor=0.0)
    found, expected = counts(network), Counter[int]()
    for word, posterior in zip(lattice.word.tolist(), lattice.posteriors().tolist(), strict=True):
        expected[word] += posterior
    spoken = {word for word in expected if word}
    assert all(found[word] <= expected[word] + 1e-5 for word in spoken)
    left_over = sum(expected[word] - found[word] for word in spoken)
    assert risk(lattice, network.hypothesis) == pytest.approx(bin_risk(network) + (1 + DELTA) * left_over, abs=1e-4)


@given(small_lattices(), st.lists(st.integers(1, 4), max_size=5))
def test_the_risk_is_an_upper_bound_of_the_expected_errors(lattice: Lattice, words: list[int]) -> None:
    assert risk(lattice, words) >= true_risk(sequences(lattice), words) - 1e-5


@given(nbest_lists(), st.lists(st.integers(1, 4), max_size=5))
def test_the_risk_is_exact_where_states_tell_their_history(lattice: Lattice, words: list[int]) -> None:
    assert risk(lattice, words) == pytest.approx(true_risk(sequences(lattice), words), abs=SLACK)


@given(small_lattices())
def test_the_risk_falls_from_the_best_path_on(lattice: Lattice) -> None:
    words = confusion_network(lattice).hypothesis.tolist()
    assert risk(lattice, words) <= risk(lattice, lattice.best_path().words) + SLACK
    assert true_risk(sequences(lattice), words) <= risk(lattice, lattice.best_path().words) + SLACK


@given(nbest_lists())
def test_of_an_nbest_list_the_hypothesis_expects_no_more_errors_than_the_first(lattice: Lattice) -> None:
    said = sequences(lattice)
    words = confusion_network(lattice).hypothesis.tolist()
    assert true_risk(said, words) <= true_risk(said, lattice.best_path().words) + SLACK


@given(nbest_lists())
def test_of_an_nbest_list_no_bin_has_a_likelier_word_than_the_hypothesis(lattice: Lattice) -> None:
    network = confusion_network(lattice)
    assert bin_risk(network) == pytest.approx(float((1 - network.posterior[network.first[:-1]]).sum()), abs=SLACK)


@given(nbest_lists(), st.lists(st.integers(1, 4), max_size=3))
def test_of_an_nbest_list_every_path_lies_in_the_bins_as_it_should(lattice: Lattice, words: list[int]) -> None:
    """Of paths that may lie in several ways at the same cost, any will do: posteriors lie between the extremes."""
    network = confusion_network(lattice, mbr=False, floor=0.0, words=words)
    assert network.hypothesis.tolist() == words
    least, most = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    cost = 0.0
    for said, share in sequences(lattice).items():
        every = list(placements(said, confusion.around(words).tolist()))
        price = min(price for price, _ in every)
        best = [places for other, places in every if other < price + DELTA / 2]
        cost += share * price
        for place in set[tuple[int, int]]().union(*best):
            most[place] += share
            least[place] += share * all(place in places for places in best)
    assert risk(lattice, words) == pytest.approx(cost, abs=1e-6)
    found = {
        (index, word): posterior
        for index in range(network.num_bins)
        for word, posterior in zip(*map(np.ndarray.tolist, network.bin(index)[:2]), strict=True)
        if word
    }
    for place in {*most, *found}:
        assert least[place] - 1e-6 <= found.get(place, 0.0) <= most[place] + 1e-6


def placements(said: Sequence[int], bins: Sequence[int]) -> Iterator[tuple[float, set[tuple[int, int]]]]:
    """All ways to lay words into bins, in order, or between them: the cost, and (bin, word) of those in bins."""
    for number in range(len(said) + 1):
        for chosen in itertools.combinations(said, number):
            for places in itertools.combinations(range(len(bins)), number):
                laid = set(zip(places, chosen, strict=True))
                right = sum(bins[place] == word for place, word in laid)
                deleted = sum(bins[place] != 0 for place in set(range(len(bins))) - set(places))
                yield number - right + deleted + (1 + DELTA) * (len(said) - number), laid


def test_more_than_the_memory_holds_is_refused() -> None:
    """A chain of 4500 words with three choices each."""
    src = np.repeat(np.arange(4500), 3)
    lattice = Lattice.build(4501, 9000, src, src + 1, np.tile([1, 2, 3], 4500), 2 * src, 2 * src + 2, src, src)
    with pytest.raises(UserError, match=r"13500 arcs with 4500 words takes up to 4\.9 GB") as error:
        confusion_network(lattice)
    assert "shorter cuts" in error.value.fix
    with pytest.raises(UserError, match="13500 arcs with 9000 words"):
        risk(lattice, [1] * 9000)


@given(small_lattices())
def test_without_mbr_the_best_path_is_the_hypothesis(lattice: Lattice) -> None:
    network = confusion_network(lattice, mbr=False)
    best = lattice.best_path()
    assert tuple(network.hypothesis.tolist()) == best.words
    posterior, start, end = network.spoken()
    assert len(posterior) == len(start) == len(end) == len(best.words)
    assert (start <= end).all()
    assert (end[:-1] <= start[1:] + 1e-4).all()


@pytest.mark.parametrize(("sharpness", "rate"), [(1.5, 0.8), (6.0, 0.95)])
def test_nearly_always_it_is_the_best_of_all_sequences(sharpness: float, rate: float) -> None:
    """How often no word sequence at all has a lower expected edit distance.

    Of 150 random lattices each, 103, 127, 141 and 145 where costs of arcs are 0.5, 1.5, 3 and 6 in the mean; the best
    path is the best sequence in 47, 82, 117 and 139. Where the search ends in a local minimum, little is lost.
    """
    random = np.random.default_rng(0)
    candidates = [seq for length in range(6) for seq in itertools.product((1, 2, 3), repeat=length)]
    spelled = {seq: list(map(str, seq)) for seq in candidates}
    risks = []
    for _ in range(100):
        lattice = random_lattice(random, sharpness)
        said = [(list(map(str, seq)), p) for seq, p in sequences(lattice).items()]
        table = {seq: sum(p * errors(other, spelled[seq]).count for other, p in said) for seq in candidates}
        found = table[tuple(confusion_network(lattice).hypothesis.tolist())]
        risks.append((found, min(table.values()), table[lattice.best_path().words]))
    found, best, first = np.array(risks).T
    assert (found <= best + SLACK).mean() >= rate
    assert (found > first + SLACK).mean() <= 0.02
    assert (found - best).mean() < 0.5 * (first - best).mean()


def random_lattice(random: np.random.Generator, mean_cost: float) -> Lattice:
    """Up to five words among three, with all that can be said at every place."""
    states = int(random.integers(3, 7))
    src = np.r_[np.arange(states - 1), random.integers(0, states - 1, size=8)]
    dst = np.minimum(src + np.r_[np.ones(states - 1), random.integers(1, 3, size=8)], states - 1).astype(int)
    word = random.integers(1, 4, size=len(src))
    cost = random.exponential(mean_cost, size=len(src))
    return Lattice.build(states, 3 * states, src, dst, word, 3 * src, 3 * dst, cost, np.zeros(len(src)))


def test_a_worked_example() -> None:
    """The best path is "1 2", but most of the probability begins with 3, and its last word may be missing."""
    lattice = Lattice.build(
        *(4, 10, [0, 0, 1, 2, 2], [1, 2, 3, 3, 3], [1, 3, 2, 2, 4]),
        *([0, 0, 4, 5, 5], [4, 5, 10, 9, 10]),
        *(-np.log([0.4, 0.6, 1.0, 0.6, 0.4]), np.zeros(5)),
    )
    assert lattice.best_path().words == (1, 2)
    network = confusion_network(lattice)
    assert network.hypothesis.tolist() == network.best() == [3, 2]
    assert risk(lattice, [3, 2]) == pytest.approx(0.4 + 0.24)
    assert risk(lattice, [1, 2]) == pytest.approx(0.6 + 0.24)
    word, posterior, start, end = network.bin(1)
    assert word.tolist() == [3, 1]
    assert posterior.tolist() == pytest.approx([0.6, 0.4])
    assert (start.tolist(), end.tolist()) == ([0, 0], [5, 4])
    word, posterior, start, end = network.bin(3)
    assert word.tolist() == [2, 4]
    assert posterior.tolist() == pytest.approx([0.76, 0.24])
    assert start[0] == pytest.approx((0.4 * 4 + 0.36 * 5) / 0.76)
    assert [network.bin(b)[0].tolist() for b in (0, 2, 4)] == [[0], [0], [0]]
    assert [float(network.bin(b)[2][0]) for b in (0, 2, 4)] == pytest.approx([0, 4.737, 9.526], abs=0.3)


def test_empty_and_wordless_lattices() -> None:
    nothing = Lattice.build(2, 7, [0], [1], [0], [0], [7], [1.0], [0.0])
    for lattice in (Lattice.empty(7), nothing):
        for mbr in (False, True):
            network = confusion_network(lattice, mbr)
            assert (network.num_bins, network.best(), len(network.hypothesis)) == (1, [], 0)
            (word,), (posterior,), (start,), (end,) = network.bin(0)
            assert (word, posterior, start, end) == (0, 1.0, 0.0, 7.0)
        assert risk(lattice, []) == 0.0
        assert risk(lattice, [1, 2]) == 2.0


def test_a_word_that_is_probably_not_there_is_dropped() -> None:
    lattice = Lattice.build(3, 6, [0, 0, 1], [1, 1, 2], [1, 0, 2], [0, 0, 3], [3, 3, 6], [1.0, 1.0, 0], [0.1, 0, 0])
    network = confusion_network(lattice)
    assert network.hypothesis.tolist() == [2]
    assert network.bin(0)[0].tolist() == [0, 1]


@given(st.lists(small_lattices(), max_size=4))
def test_a_shard_comes_back(tmp_path_factory: pytest.TempPathFactory, several: list[Lattice]) -> None:
    path = tmp_path_factory.mktemp("shard") / "1.npz"
    written = {f"utt-{index}": confusion_network(lattice) for index, lattice in enumerate(several)}
    confusion.save(path, written)
    read = confusion.load(path)
    assert list(read) == list(written)
    for name, network in written.items():
        assert read[name].num_frames == network.num_frames
        for column in ("hypothesis", "first", "word"):
            np.testing.assert_array_equal(getattr(read[name], column), getattr(network, column))
        np.testing.assert_allclose(read[name].posterior, network.posterior, rtol=2e-3)
        for index in range(network.num_bins):
            assert read[name].bin(index)[1].sum() == pytest.approx(1, abs=1e-6)
        spoken = network.posterior > 0
        np.testing.assert_allclose(read[name].start[spoken], network.start[spoken], atol=0.1)
        np.testing.assert_allclose(read[name].end[spoken], network.end[spoken], atol=0.1)


def test_a_shard_of_lattices_is_no_shard_of_networks(tmp_path: Path) -> None:
    from voxkit.decode import lattice as lattices

    lattices.save(tmp_path / "1.npz", {"a": Lattice.empty(3)})
    with pytest.raises(UserError, match=r"1\.npz: cannot read confusion networks"):
        confusion.load(tmp_path / "1.npz")
    confusion.save(tmp_path / "2.npz", {"a": confusion_network(Lattice.empty(3))})
    with pytest.raises(UserError, match=r"2\.npz"):
        lattices.load(tmp_path / "2.npz")


def test_a_word_on_which_nothing_lies_stands_between_its_neighbours() -> None:
    places = np.arange(6, dtype=np.float32)
    network = ConfusionNetwork(
        num_frames=20,
        hypothesis=np.array([4, 5], dtype=np.int32),
        first=np.array([0, 1, 2, 3, 5, 6], dtype=np.int32),
        word=np.array([0, 4, 0, 0, 5, 0], dtype=np.int32),
        posterior=np.array([1, 1, 1, 1, 0, 1], dtype=np.float32),
        start=places * 2,
        end=places * 2 + 3,
    )
    timed = confusion._with_gaps(network)
    posterior, start, end = timed.spoken()
    assert (posterior.tolist(), start.tolist(), end.tolist()) == ([1, 0], [2, 5], [5, 5])
    assert timed.start.tolist() == [0, 2, 5, 5, 5, 5]
    assert timed.end.tolist() == [2, 5, 5, 5, 5, 20]
