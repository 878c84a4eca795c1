"""A recognised cut as a picture: spectrogram, words said and heard, confusion network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxkit.commands.decode.results import scored
from voxkit.data.manifests import open_cuts
from voxkit.data.text import normaliser as normaliser_called
from voxkit.decode.confusion import ConfusionNetwork
from voxkit.decode.folder import CONFUSION, HYPOTHESES, DecodeFolder, shard_files
from voxkit.errors import UserError
from voxkit.metrics.edit import align
from voxkit.metrics.report import Report

if TYPE_CHECKING:
    from lhotse.cut import Cut
    from lhotse.supervision import AlignmentItem

WORST = "worst"  # stands for the cut with the most errors
RARE = 0.03  # a bin between words is drawn if the words in it are at least so likely


def draw(folder: Path, cut_id: str, normaliser: str) -> Path:
    """Draw a recognised cut (or the `worst`): spectrogram, reference and hypothesis, confusion network if there is one.

    Raises:
        UserError: the folder has no such cut.
    """
    from voxkit.data import audio
    from voxkit.metrics.plots import spectrogram

    wanted = _worst(folder, normaliser) if cut_id == WORST else cut_id
    cut = next((cut for cut in open_cuts(folder / HYPOTHESES) if cut.id == wanted), None)
    if cut is None:
        raise UserError(f"{folder}: has no cut {wanted!r}", fix=f"take an id of {folder / HYPOTHESES}, or {WORST}")
    samples, rate = audio.load_cut(cut)
    rows, title = _rows(cut, normaliser)
    columns = _columns(folder, cut, normaliser) if shard_files(folder, CONFUSION) else []
    path = folder / "plots" / f"{cut_id.replace('/', '_')}.png"
    path.parent.mkdir(exist_ok=True)
    spectrogram(samples, rate, rows, title, path, columns)
    return path


def _worst(folder: Path, normaliser: str) -> str:
    """The cut with the most word errors, the first of them."""
    utterances = Report(list(scored(open_cuts(folder / HYPOTHESES))), normaliser).utterances
    if not utterances:
        raise UserError("no references, so none is the worst", fix="name a cut: --plot ID")
    return max(utterances, key=lambda utterance: utterance.words.count).id


def _rows(cut: Cut, normaliser: str) -> tuple[list[tuple[str, list[Any]]], str]:
    """The recognised words, right or wrong, and above them the reference where the errors are."""
    from voxkit.metrics.plots import Span

    supervision = cut.supervisions[0]
    items = (supervision.alignment or {}).get("word", [])
    utterance = next(iter(scored([cut])), None)
    if utterance is None:
        return [("words", [Span(i.symbol, i.start, i.end) for i in items])], cut.id
    scored_as = Report([utterance], normaliser).utterances[0]
    spans = _timed(scored_as.hyp.split(), items, normaliser)
    heard, said = [], []
    missed: list[str] = []
    position = 0
    end = 0.0
    for pair in scored_as.pairs:
        if pair.op == "del":
            missed.append(pair.ref)
            continue
        if missed:  # somewhere between the words around them
            said.append(Span(" ".join(missed), end, max(spans[position][0], end + 0.1), False))
            missed = []
        start, end = spans[position]
        position += 1
        heard.append(Span(pair.hyp, start, end, pair.op == "cor"))
        if pair.op != "ins":
            said.append(Span(pair.ref, start, end, pair.op == "cor"))
    if missed:
        said.append(Span(" ".join(missed), end, max(cut.duration, end + 0.1), False))
    errors, total = scored_as.words.count, scored_as.words.total
    title = f"{cut.id}: {errors or 'no'} error{'' if errors == 1 else 's'} in {total} words"
    return [("said", said), ("heard", heard)], title


def _columns(folder: Path, cut: Cut, normaliser: str) -> list[Any]:
    """The bins that hold a word of some probability, and which of their words were said."""
    from voxkit.metrics.plots import Column

    decoded = DecodeFolder.open(folder, confusion=True)
    network = next(found.confusion for found in decoded if found.id == cut.id)
    if network is None:
        return []
    clean = normaliser_called(normaliser)
    reference = (cut.supervisions[0].custom or {}).get("reference")
    said = None if reference is None else _said(network, [clean(word) for word in decoded.words], clean(reference))
    columns = []
    for index in range(network.num_bins):
        word, posterior, start, end = network.bin(index)
        spoken = posterior * (word != 0)
        if index % 2 == 0 and spoken.sum() < RARE:
            continue
        entries = []
        for number, share in zip(word.tolist(), posterior.tolist(), strict=True):
            right = None if said is None else clean(decoded.words[number] if number else "") in said[index]
            entries.append((decoded.words[number] if number else "", share, right))
        begin, finish = (float(times @ spoken / spoken.sum()) * decoded.frame_shift for times in (start, end))
        columns.append(Column(begin, finish, entries, between=index % 2 == 0))
    return columns


def _said(network: ConfusionNetwork, words: Sequence[str], reference: str) -> list[set[str]]:
    """For each bin the words of the reference that belong there; "" where none does."""
    said: list[set[str]] = [set() for _ in range(network.num_bins)]
    heard = [(place, words[word]) for place, word in enumerate(network.hypothesis.tolist()) if words[word]]
    places = iter(heard)
    gap = 0
    for pair in align(reference.split(), [word for _, word in heard]):
        if pair.op == "del":
            said[gap].add(pair.ref)
            continue
        place = next(places)[0]
        said[2 * place + 1].add(pair.ref)
        gap = 2 * place + 2
    return [found or {""} for found in said]


def _timed(words: Sequence[str], items: Sequence[AlignmentItem], normaliser: str) -> list[tuple[float, float]]:
    """Start and end [s] of each scored word, of which the normaliser may have made fewer or more than were timed."""
    clean = normaliser_called(normaliser)
    spans: list[tuple[float, float]] = []
    made: list[str] = []
    for item in items:
        parts = clean(item.symbol).split()
        made += parts
        step = item.duration / max(len(parts), 1)
        spans += [(item.start + i * step, item.start + (i + 1) * step) for i in range(len(parts))]
    if made == list(words):
        return spans
    begin, end = (items[0].start, items[-1].end) if items else (0.0, 0.0)  # words that changed by their neighbours
    step = (end - begin) / max(len(words), 1)
    return [(begin + i * step, begin + (i + 1) * step) for i in range(len(words))]
