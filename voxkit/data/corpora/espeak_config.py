"""What can be asked of the corpus `espeak`."""

from __future__ import annotations

from pydantic import Field, field_validator

from voxkit.config import Config

LANGUAGES = (
    "en-us", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "cs", "ru", "uk", "el", "tr", "fi", "hu", "hi", "ko",
)  # fmt: skip


class EspeakConfig(Config):
    """Words pronounced by espeak-ng."""

    languages: tuple[str, ...] = Field(
        LANGUAGES, min_length=1, description="languages of espeak-ng; with --set words, of the rows that name none"
    )
    words: str = Field(
        "",
        description="file with a word, or word<TAB>language, on each line; empty: each language's most frequent words",
    )
    per_language: int = Field(1500, ge=1, le=100_000, description="most frequent words of each language")
    stress: bool = Field(False, description="keep the stress marks of the phones")
    dev_share: float = Field(0.1, ge=0, le=0.4, description="share of dev")
    test_share: float = Field(0.1, ge=0, le=0.4, description="share of test")
    seed: int = Field(1, ge=0, description="of the division into parts")

    @field_validator("languages")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("one is named twice")
        return names
