"""From a lexicon and text to a lang folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

from voxkit.commands.make_graph.command import MakeGraph
from voxkit.config import to_dict
from voxkit.data.lang import BACKOFF, EPSILON, GRAPH, PIECES, Lang, train_pieces
from voxkit.data.lexicon import BLANK, RESERVED_WORDS, Lexicon
from voxkit.data.sentences import sentences
from voxkit.data.text import normaliser
from voxkit.decode import graph
from voxkit.decode.arpa import UNKNOWN, Arpa, unseen_mass
from voxkit.errors import Problems, UserError
from voxkit.progress import say
from voxkit.rundir import digest, output


@dataclass(frozen=True)
class Inputs:
    """The files that a lang folder is made from."""

    lexicon: Path | None = None
    text: Path | None = None
    arpa: Path | None = None
    dev_text: Path | None = None
    tokens: Path | None = None


@dataclass(frozen=True)
class Missing:
    """Words without a pronunciation: how often each occurs, and how much of the text that is."""

    counts: dict[str, int]
    share: float


def make(config: MakeGraph, inputs: Inputs, out: Path, max_bad: float = 0.0) -> None:
    """Write the lang folder `out` and print its `%OOV` and `%PPL` lines.

    Raises:
        UserError: inputs that do not go together, or more than `config.max_oov` of the text without pronunciation.
        DataError: bad lines in the lexicon (more than the share `max_bad`), the text or the language model.
    """
    if config.units == "phone" and inputs.lexicon is None:
        raise UserError("phones need a lexicon", fix="give --lexicon FILE, or --units char or bpe")
    if config.units != "phone" and inputs.text is None and inputs.arpa is None:
        raise UserError(f"{config.units} units are learnt from words", fix="give --text FILE or --arpa FILE")
    if inputs.tokens is not None and config.units != "phone":
        raise UserError(f"--tokens keeps phones, and {config.units} units are learnt anew", fix="leave --tokens out")
    if config.units != "phone" and inputs.lexicon is not None:
        raise UserError(
            f"--lexicon {inputs.lexicon}: {config.units} units spell every word and take no pronunciations",
            fix="leave --lexicon out, or train on phones with --units phone",
        )
    spec = {"settings": to_dict(config), "max_bad": max_bad, **_digests(inputs)}
    with output(out, "make-graph", spec, resumable=False) as folder:
        if folder.done:
            return
        lines = _make(config, inputs, folder.work, out, max_bad)
        (folder.work / "summary.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for line in lines:
        print(line)
    say(f"lang folder: {out}")


def _make(config: MakeGraph, inputs: Inputs, work: Path, out: Path, max_bad: float) -> list[str]:
    normalise = normaliser(config.normaliser)
    text = list(sentences(inputs.text, normalise)) if inputs.text else []
    lm = Arpa.read(inputs.arpa, normalise) if inputs.arpa else None
    counts = Counter(word for sentence in text for word in sentence)
    if inputs.lexicon:
        lexicon = Lexicon.read(
            inputs.lexicon,
            word=normalise,
            strip_stress=config.strip_stress,
            max_bad=max_bad,
            rejected=work / "rejected.jsonl",
        )
        phones = lexicon.phones
        if inputs.tokens:
            phones = _kept(inputs.tokens, inputs.lexicon, lexicon, max_bad, work / "rejected_phones.jsonl")
        lang = _lang(work, config, phones, sorted(lexicon.entries))
        lang.save(lexicon)
    else:
        vocabulary = set(counts) | (lm.words if lm else set())
        listed = sorted(word for word in vocabulary if word not in RESERVED_WORDS and word.lower() != UNKNOWN)
        pieces = train_pieces(counts or Counter(listed), config.units, config.vocab_size, work / PIECES)
        lang, lexicon = _lang(work, config, pieces, listed), Lexicon()
        for word in listed:
            for ids, probability in lang.pronunciations(word):
                lexicon.add(word, tuple(lang.tokens[i] for i in ids), probability)
        lang = _lang(work, config, pieces, sorted(lexicon.entries))
        lang.save(lexicon)
    lines: list[str] = []
    if text or lm:
        missing = _missing(lexicon, counts, lm if not text else None)
        lines.append(_report_missing(missing, counts, config.max_oov, work, out))
    if lm is None and text:
        say(f"estimating a {config.order}-gram model from {len(text)} sentences")
        lm = Arpa.estimate(([w if w in lexicon else UNKNOWN for w in s] for s in text), config.order)
    if lm is not None:
        lm = _over_lexicon(lm, lexicon, counts, config.unseen)
        lm.write(work / "lm.arpa")
        lines += _build_graph(lang, lm, work)
        if inputs.dev_text:
            lines.append(f"{lm.perplexity(sentences(inputs.dev_text, normalise))} {out}")
    elif inputs.dev_text:
        raise UserError("--dev-text without a language model", fix="give --text or --arpa too")
    return lines


def _over_lexicon(lm: Arpa, lexicon: Lexicon, counts: Counter[str], unseen: str) -> Arpa:
    """The model over the words that have a pronunciation; those it does not list get a share of the unknown."""
    words = set(lexicon.entries)
    silent = words - lm.words
    if unseen == "drop" or not silent:
        if silent:
            say(f"{len(silent)} words of the lexicon are not in the language model and will never be recognised")
        return lm.restricted(words)
    if (UNKNOWN,) not in lm.orders[0]:
        lm = lm.with_unknown(unseen_mass(counts))
    mass = 10 ** lm.orders[0][(UNKNOWN,)][0]
    say(f"{len(silent)} words of the lexicon are not in the language model: they share a probability of {mass:.2g}")
    return lm.restricted(words, unseen=sorted(silent))


def _kept(table: Path, path: Path, lexicon: Lexicon, max_bad: float, rejected: Path) -> list[str]:
    """The phones of another lang folder's table; pronunciations that need others go out of the lexicon.

    Raises:
        UserError: no such table, or one of other units.
        DataError: more than the share `max_bad` of the pronunciations need other phones.
    """
    other = Lang.load(table.parent)
    if other.units != "phone":
        raise UserError(f"{table}: its tokens are {other.units} units, not phones", fix="name a lang folder of phones")
    problems, strange = Problems(), []
    for word, phones, _ in lexicon:
        if unknown := sorted(set(phones) - set(other.tokens)):
            what = f"{', '.join(unknown)} not in {table}"
            problems.add("other phones", str(path), f"{word}:{' '.join(phones)}", what, "mend it or leave it out")
            strange.append((word, phones))
    if problems.settle(sum(1 for _ in lexicon), max_bad, rejected):
        say(f"notice: {len(strange)} pronunciations with other phones are left out: see {rejected.name}")
    for word, phones in strange:
        del lexicon.entries[word][phones]
        if not lexicon.entries[word]:
            del lexicon.entries[word]
    return other.tokens[1:]


def _lang(work: Path, config: MakeGraph, tokens: list[str], words: list[str]) -> Lang:
    return Lang(work, config.units, [BLANK, *tokens], [EPSILON, *words, BACKOFF], config.normaliser)


def _build_graph(lang: Lang, lm: Arpa, work: Path) -> list[str]:
    say(f"composing HLG for {len(lm.words)} words and {sum(map(len, lm.orders))} n-grams")
    hlg = graph.build(lang, lm)
    if not hlg.write(str(work / GRAPH)):
        raise UserError(f"{work / GRAPH}: cannot be written", fix="is the disk full?")
    states = hlg.num_states
    arcs = sum(hlg.num_arcs(state) for state in range(states))
    ngrams = " ".join(f"{len(table)}" for table in lm.orders)
    return [f"graph: {len(lang.tokens)} tokens, {len(lm.words)} words, n-grams {ngrams}, {states} states, {arcs} arcs"]


def _missing(lexicon: Lexicon, counts: Counter[str], lm: Arpa | None) -> Missing:
    """Text words (or, without text, the language model's) that have no pronunciation."""
    if lm is not None:
        masses = {word: 10 ** lm.orders[0][(word,)][0] for word in lm.words}
        lost = {word: mass for word, mass in masses.items() if word not in lexicon}
        return Missing(dict.fromkeys(lost, 0), sum(lost.values()) / max(sum(masses.values()), 1e-99))
    absent = {word: count for word, count in counts.most_common() if word not in lexicon}
    return Missing(absent, sum(absent.values()) / max(counts.total(), 1))


def _report_missing(missing: Missing, counts: Counter[str], max_oov: float, work: Path, out: Path) -> str:
    listed = "".join(f"{count}\t{word}\n" for word, count in missing.counts.items())
    (work / "oov.txt").write_text(listed, encoding="utf-8")
    examples = ", ".join(list(missing.counts)[:8])
    if missing.share > max_oov:
        raise UserError(
            f"{missing.share:.1%} of the running words have no pronunciation (at most {max_oov:.1%} are allowed): "
            f"{len(missing.counts)} words such as {examples}",
            fix=f"see {work / 'oov.txt'}; add them to the lexicon, set normaliser, or allow more with -s max_oov=SHARE",
        )
    if missing.counts:
        say(f"{len(missing.counts)} words without pronunciation, such as {examples}: see {out / 'oov.txt'}")
    tokens = sum(missing.counts.values())
    detail = f"{tokens} / {counts.total()} running words" if counts else "by unigram probability"
    return f"%OOV {100 * missing.share:.2f} [ {detail}, {len(missing.counts)} words ] {out}"


def _digests(inputs: Inputs) -> dict[str, str]:
    """What each input file holds, so that a folder made from other text is noticed."""
    digests = {}
    for entry in fields(inputs):
        path: Path | None = getattr(inputs, entry.name)
        if path is not None:
            digests[entry.name] = f"{path} {digest(path)[:16]}"
    return digests
