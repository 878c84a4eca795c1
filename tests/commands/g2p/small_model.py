"""A small model of two made-up languages, which says them nearly as it should after a few seconds."""

from functools import cache
from pathlib import Path

import torch

from voxkit import bundle
from voxkit.commands.g2p.command import G2p
from voxkit.commands.g2p.model import G2pModel, build
from voxkit.commands.g2p.tables import END, FILE, Tables
from voxkit.config import from_mapping
from voxkit.data.pronunciations import Pronunciation

LETTERS = {"one": "abcdemn", "two": "bcdosup"}  # c d b are in both, and differ: phones are upper case in "two"
TESTED = {"one": ("bad", "cab", "dab", "man", "name", "decoded"), "two": ("soup",)}
STEPS = 150


def spoken(word: str, language: str) -> tuple[str, ...]:
    """How a word is said: letter by letter."""
    return tuple(letter if language == "one" else letter.upper() for letter in word)


@cache
def words(language: str, count: int = 120) -> tuple[str, ...]:
    """Words of 2 to 5 letters, and those that tests ask for."""
    generator = torch.Generator().manual_seed(len(language) + ord(language[0]))
    letters = LETTERS[language]
    found: dict[str, None] = dict.fromkeys(TESTED[language])
    while len(found) < count:
        size = int(torch.randint(2, 6, (), generator=generator))
        found["".join(letters[i] for i in torch.randint(len(letters), (size,), generator=generator))] = None
    return tuple(found)


def make(path: Path, kind: str = "lstm", steps: int = STEPS, languages: tuple[str, ...] = ("one", "two")) -> Path:
    """Save a bundle; with few steps it says anything."""
    items = [
        Pronunciation(word, spoken(word, language), language, "") for language in languages for word in words(language)
    ]
    shape = {"kind": kind, "width": 32, "decoder_width": 32, "layers": 2, "decoder_layers": 2, "language_width": 8}
    config = from_mapping(G2p, {"model": {**shape, "heads": 2, "dropout": 0.0}}, "test")
    tables = Tables.learn(items, config.letters, config.phones)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other longer than this takes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(config, tables)
        _fit(model, items, steps)
    torch.set_num_threads(threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / f"{path.name}_{FILE}"
    tables.save(file)
    bundle.save(path, "g2p", config, model.state_dict(), {FILE: file})
    return path


def _fit(model: G2pModel, items: list[Pronunciation], steps: int) -> None:
    tables = model.tables
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    letters = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(tables.letter_ids(item.word, item.language)) for item in items], batch_first=True
    )
    lengths = (letters != 0).sum(1)
    phones = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([*tables.phone_ids(item.phones, item.language), END]) for item in items],
        batch_first=True,
        padding_value=-100,
    )
    language = torch.tensor([tables.language_ids[item.language] for item in items])
    for _ in range(steps):
        told = torch.where(torch.rand(len(items)) < 0.2, 0, language)
        said, guess = model(letters, lengths, told, phones.clamp(min=0))
        loss = torch.nn.functional.nll_loss(said.flatten(0, 1), phones.flatten(), ignore_index=-100)
        loss = loss + torch.nn.functional.nll_loss(guess, language)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()
