"""What can be asked of the corpus `spoken`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voxkit.data.corpora.mini_config import VoiceConfig


class SpokenConfig(VoiceConfig):
    """Sentences of the user's text, spoken by the embedded voices."""

    texts: dict[Literal["train", "dev", "test", "lexicon"], tuple[str, ...]] = Field(
        {}, description="files of each part; `lexicon`: only their words, for the lexicon (--text fills this in)"
    )
    train_hours: float = Field(1.0, gt=0, le=1000, description="speech of train, about; a short text is said again [h]")
    dev_hours: float = Field(0.1, gt=0, le=1000, description="speech of dev, about, as far as the text goes [h]")
    test_hours: float = Field(0.2, gt=0, le=1000, description="speech of test, about, as far as the text goes [h]")
    longest: int = Field(20, ge=1, le=200, description="longer sentences are not spoken [words]")
    normaliser: Literal["asr_en", "lower"] = Field("asr_en", description="how texts are written")
