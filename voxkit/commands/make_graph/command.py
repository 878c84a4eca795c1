"""`voxkit make-graph`: the signature, the config and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from voxkit.commands.options import MaxBad
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError


class MakeGraph(Config):
    """What tokens, words and language model are like."""

    units: Literal["phone", "char", "bpe"] = Field("phone", description="what the network tells apart")
    vocab_size: int = Field(500, ge=8, le=20000, description="sub-word pieces; for bpe only")
    order: int = Field(3, ge=1, le=5, description="length of the n-grams [words]")
    normaliser: Literal["none", "upper", "lower", "asr_en"] = Field(
        "none", description="applied to the lexicon's words and to all text; decode scores with it too"
    )
    strip_stress: bool = Field(False, description="read CMUdict's AH0 as AH")
    unseen: Literal["share", "drop"] = Field(
        "share",
        description="words of the lexicon that the language model does not list share the probability of <unk> (or, if "
        "it has none, that of the words seen once), or are never recognised",
    )
    max_oov: float = Field(
        0.05,
        ge=0,
        le=1,
        description="most running words of the text that may lack a pronunciation [share]",
    )


CONFIG = MakeGraph


def make_graph(
    out: Annotated[Path | None, typer.Option("--out", help="The lang folder to write.", show_default=False)] = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(
            "--lexicon",
            "-l",
            help="Pronunciations, for phones: lines of `WORD \\[probability] phone ...`, TSV, or CMUdict.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option("--text", "-t", help="Sentences to learn from: plain text or a CutSet.", show_default=False),
    ] = None,
    arpa: Annotated[
        Path | None, typer.Option("--arpa", help="A language model instead of --text.", show_default=False)
    ] = None,
    dev_text: Annotated[
        Path | None,
        typer.Option("--dev-text", help="Sentences for the perplexity that is printed.", show_default=False),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            help="Lang folder whose phones to keep: its acoustic models decode with the new one.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        str | None, typer.Option("--units", help="phone (needs --lexicon), char or bpe.", show_default=False)
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option("--vocab-size", help="Sub-word pieces for --units bpe.", show_default=False)
    ] = None,
    order: Annotated[int | None, typer.Option("--order", help="Length of the n-grams.", show_default=False)] = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Build a lang folder: token and word tables, lexicon, Kneser-Ney language model and the decoding graph HLG.

    Phones need a lexicon. Characters and sub-words are learnt from the text and spell any word. Without --text and
    --arpa the folder has no graph, which is enough to train with and to decode greedily.

    Another lexicon for a model that is trained already (of `voxkit g2p apply`, for example) must be said with the
    phones that the model knows: --tokens names the lang folder that it was trained with.

    \b
    voxkit make-graph --lexicon an4.dic --text cuts_train.jsonl.gz --out exp/lang
    voxkit make-graph --units bpe --vocab-size 500 --text train.txt --dev-text dev.txt --out exp/lang_bpe
    voxkit make-graph --lexicon cmudict.gz -s strip_stress=true -s normaliser=lower --arpa 3gram.arpa.gz --out exp/lang
    """
    settings = build(MakeGraph, config, set_, units=units, vocab_size=vocab_size, order=order)
    if print_config:
        print(to_yaml(settings), end="")
        return
    if out is None:
        raise UserError("no --out", fix="name the lang folder to write: --out DIR")
    from voxkit.commands.make_graph.task import Inputs, make
    from voxkit.data.lang import TOKENS

    table = None if tokens is None else tokens / TOKENS
    make(settings, Inputs(lexicon, text, arpa, dev_text, table), out, max_bad)
