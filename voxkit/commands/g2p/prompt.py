"""`g2p apply --interactive`: words are typed, and answered at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from voxkit.commands.g2p.answers import AUTO, Answerer
from voxkit.commands.g2p.entries import Entry
from voxkit.data.lexicon import LANGUAGE
from voxkit.data.pronunciations import hidden_character

PROMPT = "g2p> "
MOST = 100  # alternatives, as --nbest has it
LIKELY = 0.05  # languages that are less probable than this are not shown
COMMANDS = """Type words to see how they are said. Besides:
  :lang fre    the language of the words; :lang auto lets the model tell
  :nbest 5     how many pronunciations of each
  :help        this
  :quit        or Ctrl-D: the end"""


def converse(answerer: Answerer) -> None:
    """Ask for words and answer until the input ends."""
    names = ", ".join(answerer.known) or "none by name"
    print(f"Languages: {names}.\n{COMMANDS}", flush=True)
    for line in _typed():
        if line.startswith(":"):
            if line.split()[0] in (":quit", ":q", ":exit"):
                return
            _obey(line, answerer)
        else:
            _answer(line.split(), answerer)
        sys.stdout.flush()


def _typed() -> Iterator[str]:
    """The lines that are typed, without those that are empty. A terminal gets a prompt and can edit its lines."""
    if sys.stdin is None:
        return
    asks = sys.stdin.isatty()
    if asks:
        import readline  # noqa: F401 - `input` uses it once it is there
    while True:
        try:
            line = input(PROMPT if asks else "")
        except EOFError:
            if asks:
                print()
            return
        except UnicodeDecodeError:
            print("  not text in this terminal's encoding")
            continue
        if line.strip():
            yield line.strip()


def _obey(line: str, answerer: Answerer) -> None:
    command, *values = line.split()
    value = values[0] if len(values) == 1 else ""
    if command == ":lang" and (value == AUTO or LANGUAGE.fullmatch(value)):
        answerer.speak(value)
    elif command == ":nbest" and value.isdecimal() and 1 <= int(value) <= MOST:
        answerer.nbest = int(value)
    else:
        print(COMMANDS)


def _answer(words: list[str], answerer: Answerer) -> None:
    hidden = [word for word in words if hidden_character(word)]
    for word in hidden:
        print(f"{word!r}: holds a control character")
    entries = [Entry(word) for word in words if word not in hidden]
    guesses = answerer.pronouncer.languages([entry.word for entry in entries]) if answerer.lang is None else []
    for place, answer in enumerate(answerer(entries)):
        ranked = [(name, share) for name, share in guesses[place] if share >= LIKELY] if guesses else []
        told = ", ".join(f"{name} {share:.0%}" for name, share in ranked) or answer.language
        print(f"{answer.word}  [{told or 'unknown language'}]")
        for found in answer.hypotheses:
            print(f"  {found.probability:6.1%}  {' '.join(found.phones)}")
        if not answer.hypotheses:
            print(f"  {answerer.silence(answer)}")
