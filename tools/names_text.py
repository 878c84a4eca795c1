"""Texts and tables of the names in commands to a voice assistant, for egs/mini/rescore/names.sh.

Reads train.conll, dev.conll and test.conll of `voxkit prepare snips` and keeps the commands that can be spoken as they
are written. Names are the slots in CLASSES; those of dev and test are the users', and no training command has the words
of one. Writes into --out:

* train.txt: the commands that are left for training; dev.txt, test.txt; dev_classes.txt has classes for names.
* users.txt: those of train.txt with a name, where names of the users of the same class stand for it.
* classes.tsv: class<TAB>phrase of the names in train.txt, without those that mostly are no names there.
* names.tsv: class<TAB>phrase of the users' names.
* test_names.tsv: sentence<TAB>first word<TAB>word after the last of the names in test.txt.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import cycle
from pathlib import Path

from voxkit.commands.lm_nce.vocabulary import class_token
from voxkit.data.corpora.spoken import WORD
from voxkit.data.tagged_files import read
from voxkit.data.tagging import Entity, Sentence, spoken
from voxkit.errors import Problems

CLASSES = ("album", "artist", "entity_name", "movie_name", "object_name", "playlist", "restaurant_name", "track")
Phrase = tuple[str, ...]
Name = tuple[str, Phrase]  # with its class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, help="folder of voxkit prepare snips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the names that are drawn")
    args = parser.parse_args()
    parts = {part: list(speakable(args.sentences / f"{part}.conll")) for part in ("train", "dev", "test")}
    users = {name for part in ("dev", "test") for sentence in parts[part] for name in names(sentence)}
    phrases = {words for _, words in users}
    train = [sentence for sentence in parts["train"] if not any(within(sentence.words, phrases))]
    args.out.mkdir(parents=True, exist_ok=True)
    known = Counter(name for sentence in train for name in names(sentence))
    phrases = {words for _, words in known}
    met = Counter(words for sentence in train for words in within(sentence.words, phrases))
    told = {name for name, times in known.items() if 2 * times > met[name[1]]}
    files: dict[str, Iterable[str]] = {"train.txt": map(text, train), "users.txt": personal(train, users, args.seed)}
    files |= {"classes.tsv": map(row, sorted(told)), "names.tsv": map(row, sorted(users))}
    files["dev_classes.txt"] = map(with_classes, parts["dev"])
    for part in ("dev", "test"):
        files[f"{part}.txt"] = map(text, parts[part])
    files["test_names.tsv"] = spans(parts["test"])
    for name, lines in files.items():
        (args.out / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{len(train)} of {len(parts['train'])} commands have none of the users' {len(users)} names")
    for part in ("dev", "test"):
        print(f"{part}: {len(parts[part])} commands, {sum(1 for _ in spans(parts[part]))} names")


def speakable(path: Path) -> Iterator[Sentence]:
    """The sentences of a file as a recogniser would write them, of letters alone."""
    problems = Problems()
    found, total = read([path], problems, tagged=True)
    problems.settle(total)
    return (one for one in map(spoken, found) if one.words and all(map(WORD.fullmatch, one.words)))


def text(sentence: Sentence) -> str:
    return " ".join(sentence.words)


def named(sentence: Sentence) -> list[Entity]:
    """Where the names are."""
    return [entity for entity in sentence.entities() if entity.label in CLASSES]


def names(sentence: Sentence) -> list[Name]:
    return [(label, sentence.words[begin:end]) for label, begin, end in named(sentence)]


def row(name: Name) -> str:
    return f"{name[0]}\t{' '.join(name[1])}"


def spans(sentences: Iterable[Sentence]) -> Iterator[str]:
    """Lines about names; sentences that occur twice count once, as the first says."""
    for sentence in {text(one): one for one in reversed(list(sentences))}.values():
        for _, begin, end in named(sentence):
            yield f"{text(sentence)}\t{begin}\t{end}"


def within(words: Phrase, phrases: Collection[Phrase]) -> Iterator[Phrase]:
    """Which of some phrases are in a sentence, wherever they are."""
    longest = max(map(len, phrases), default=0)
    for begin in range(len(words)):
        for end in range(begin + 1, min(begin + longest, len(words)) + 1):
            if words[begin:end] in phrases:
                yield words[begin:end]


def replaced(sentence: Sentence, phrases: Iterable[str]) -> str:
    """A sentence with other phrases for its names, in their order."""
    words, place = [], 0
    for (_, begin, end), phrase in zip(named(sentence), phrases, strict=True):
        words += [*sentence.words[place:begin], phrase]
        place = end
    return " ".join([*words, *sentence.words[place:]])


def with_classes(sentence: Sentence) -> str:
    return replaced(sentence, (class_token(label) for label, _ in names(sentence)))


def personal(sentences: Iterable[Sentence], users: Iterable[Name], seed: int) -> Iterator[str]:
    """Sentences that have names, with names of users instead: all of a class equally often."""
    rng, phrases = random.Random(seed), {}
    for name in CLASSES:
        own = sorted(" ".join(words) for label, words in users if label == name)
        rng.shuffle(own)
        phrases[name] = cycle(own)
    for sentence in sentences:
        if here := names(sentence):
            yield replaced(sentence, [next(phrases[label], "") for label, _ in here])


if __name__ == "__main__":
    main()
