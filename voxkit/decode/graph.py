"""Decoding graphs: H (CTC topology) o L (lexicon) o G (n-gram), composed and minimised with kaldifst.

**Labels.** The network has V outputs, the blank first. On the input side of the graph an output `i` has the label
`i + 1` (0 is epsilon), and a token that *begins a word* has a label of its own, `V + i`, with the same score: like
Kaldi's word-position-dependent phones, this marks word boundaries in every lattice, wherever determinisation has put
the word labels. `voxkit.decode.kaldi` feeds the scores twice accordingly.

**One path per alignment.** Disambiguation symbols (homophones, prefixes, LM back-off) are epsilons on the graph's
input. H lets them pass right after the frame that enters a token and at no other time, so that one alignment is not
counted once for every frame at which an epsilon could be taken. Totals over a lattice then are what they say.
(A word sequence that the LM scores both directly and by backing off still has both paths, as in Kaldi and k2.)
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from voxkit.data.lang import BACKOFF, Lang
from voxkit.decode.arpa import BEGIN, END, Arpa
from voxkit.errors import UserError

if TYPE_CHECKING:
    from kaldifst import StdVectorFst

BLANK_LABEL = 1
Pronunciation = tuple[int, list[int], float]  # word id, token ids, probability


def token_label(token: int, num_tokens: int, initial: bool) -> int:
    """The input label of a token in H, L and lattices; `initial` if it begins a word."""
    return num_tokens + token if initial else token + 1


def build(lang: Lang, lm: Arpa | None) -> StdVectorFst:
    """HLG for a lang folder's words and a language model whose words are all in `lang.words`.

    Without a model every word may follow every word at the same cost.

    Raises:
        UserError: no word can be recognised.
    """
    words = lang.words[1 : lang.word_ids[BACKOFF]] if lm is None else sorted(lm.words, key=lang.word_ids.__getitem__)
    entries = [(lang.word_ids[word], ids, p) for word in words for ids, p in lang.pronunciations(word)]
    if not entries:
        raise UserError("no word of the language model has a pronunciation", fix="check that the letter case agrees")
    num_tokens = len(lang.tokens)
    first_disambiguation = 2 * num_tokens
    lexicon, num_disambiguation = lexicon_fst(entries, num_tokens, first_disambiguation, lang.word_ids[BACKOFF])
    grammar = word_loop(len(words), [lang.word_ids[word] for word in words]) if lm is None else grammar_fst(lm, lang)
    return compose(lexicon, grammar, num_tokens, first_disambiguation, num_disambiguation)


def lexicon_fst(
    entries: Sequence[Pronunciation], num_tokens: int, first_disambiguation: int, backoff: int
) -> tuple[StdVectorFst, int]:
    """L: words as loops of token labels, with a disambiguation label behind homophones and prefixes of others.

    Returns:
        The transducer, and the number of disambiguation labels (from `first_disambiguation` on; the first is that of
        the LM's back-off).
    """
    spelled = Counter(tuple(ids) for _, ids, _ in entries)
    prefixes = {ids[:length] for ids in spelled for length in range(1, len(ids))}
    used: Counter[tuple[int, ...]] = Counter()
    fst = _Fst(1)
    fst.finish(0)
    for word, ids, probability in entries:
        key = tuple(ids)
        labels = [token_label(token, num_tokens, initial=place == 0) for place, token in enumerate(ids)]
        if spelled[key] > 1 or key in prefixes:
            used[key] += 1
            labels.append(first_disambiguation + used[key])
        state = 0
        for place, label in enumerate(labels):
            target = 0 if place == len(labels) - 1 else fst.state()
            cost = -math.log(probability) if place == 0 else 0.0
            fst.arc(state, target, label, word if place == 0 else 0, cost)
            state = target
    fst.arc(0, 0, first_disambiguation, backoff, 0.0)
    return fst.fst, 1 + max(used.values(), default=0)


def grammar_fst(lm: Arpa, lang: Lang) -> StdVectorFst:
    """G: the n-gram model over `lang.words`, `#0` on its back-off arcs."""
    import kaldifst
    import kaldilm

    with tempfile.TemporaryDirectory() as folder:
        arpa, symbols = Path(folder) / "lm.arpa", Path(folder) / "words.txt"
        lm.write(arpa)
        names = [*lang.words, BEGIN, END]
        symbols.write_text("".join(f"{name} {index}\n" for index, name in enumerate(names)), encoding="utf-8")
        with _silenced(sys.__stderr__ or sys.stderr):
            text = kaldilm.arpa2fst(
                str(arpa), disambig_symbol=BACKOFF, read_symbol_table=str(symbols), max_order=len(lm.orders)
            )
    return kaldifst.compile(text, acceptor=False)


def word_loop(num_words: int, words: Iterable[int]) -> StdVectorFst:
    """G without a language model: any word after any word, each with the same probability."""
    fst = _Fst(1)
    fst.finish(0)
    for word in words:
        fst.arc(0, 0, word, word, math.log(num_words))
    return fst.fst


def ctc_fst(num_tokens: int, first_disambiguation: int, num_disambiguation: int) -> StdVectorFst:
    """H: CTC's topology (Graves et al. 2006): blanks between tokens are optional but between equal ones.

    State 0 begins (disambiguation passes), 1 is after a blank, and a token has two: `entered`, where disambiguation
    passes, and `stayed`.
    """
    blank_state = 1
    entered = {token: 2 * token for token in range(1, num_tokens)}
    stayed = {token: 2 * token + 1 for token in range(1, num_tokens)}
    fst = _Fst(2 * num_tokens)
    passes = range(first_disambiguation, first_disambiguation + num_disambiguation)
    for state in range(2 * num_tokens):
        here = state // 2  # the token we are in, 0 for none
        fst.finish(state)
        fst.arc(state, blank_state, BLANK_LABEL, 0, 0.0)
        if here:
            fst.arc(state, stayed[here], token_label(here, num_tokens, initial=False), 0, 0.0)
        if state != blank_state and state % 2 == 0:
            for label in passes:
                fst.arc(state, state, 0, label, 0.0)
        for token, target in entered.items():
            if token != here:
                for initial in (False, True):
                    label = token_label(token, num_tokens, initial)
                    fst.arc(state, target, label, label, 0.0)
    return fst.fst


def compose(
    lexicon: StdVectorFst, grammar: StdVectorFst, num_tokens: int, first_disambiguation: int, num_disambiguation: int
) -> StdVectorFst:
    """min(H o min(det(L o G)))."""
    import kaldifst

    kaldifst.arcsort(lexicon, sort_type="olabel")
    kaldifst.arcsort(grammar, sort_type="ilabel")
    lg = kaldifst.compose(lexicon, grammar)
    if kaldifst.determinize_star(lg, use_log=True):
        raise RuntimeError("determinisation of L o G was cut short")
    kaldifst.minimize_encoded(lg)
    kaldifst.arcsort(lg, sort_type="ilabel")
    topology = ctc_fst(num_tokens, first_disambiguation, num_disambiguation)
    kaldifst.arcsort(topology, sort_type="olabel")
    hlg = kaldifst.compose(topology, lg)
    kaldifst.minimize_encoded(hlg)
    kaldifst.connect(hlg)
    kaldifst.arcsort(hlg, sort_type="ilabel")
    return hlg


@contextmanager
def _silenced(stream: TextIO) -> Iterator[None]:
    """Drop what compiled code writes: kaldilm logs every section that it reads, whatever it is told."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # not a real file, so compiled code does not write to it
        yield
        return
    stream.flush()
    saved = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


class _Fst:
    """A little writer of transducers that begin in state 0."""

    def __init__(self, num_states: int) -> None:
        import kaldifst

        self._arc: Any = kaldifst.StdArc
        self.fst = kaldifst.StdVectorFst()
        for _ in range(num_states):
            self.fst.add_state()
        self.fst.start = 0

    def state(self) -> int:
        return int(self.fst.add_state())

    def arc(self, source: int, target: int, label_in: int, label_out: int, cost: float) -> None:
        self.fst.add_arc(source, self._arc(label_in, label_out, cost, target))

    def finish(self, state: int) -> None:
        self.fst.set_final(state, 0.0)
