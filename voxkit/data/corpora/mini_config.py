"""What can be asked of the embedded voices and of the embedded corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from voxkit.config import Config

DIALECTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan")
WOMEN = (
    "f1", "f2", "f3", "f4", "f5", "Annie", "belinda", "linda", "grandma", "aunty", "Alicia", "Andrea", "steph",
)  # fmt: skip
MEN = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "adam", "Alex", "Andy", "benjamin", "boris", "Denis", "Diogo", "ed",
    "edward", "Gene", "grandpa", "Henrique", "Hugo", "iven3", "john", "Lee", "marcelo", "Mario", "max", "Michael",
    "michel", "miguel", "Mike", "norbert", "pablo", "paul", "quincy", "Reed", "rob", "robert", "sandro", "travis",
)  # fmt: skip

Range = tuple[float, float]
LIMITS = {"rate": (80, 450), "pitch": (0, 100), "snr": (-20, 100), "gain": (-60, 0)}


class VoiceConfig(Config):
    """How sentences are spoken."""

    seed: int = Field(1, ge=0, description="everything follows from it")
    dialects: tuple[str, ...] = Field(
        DIALECTS,
        min_length=1,
        description="English dialects of espeak-ng, each with its own phones; also en-us-nyc, en-gb-x-gbcwmd",
    )
    variants: tuple[str, ...] = Field(
        WOMEN + MEN, min_length=3, description="voice variants of espeak-ng; the parts get different ones"
    )
    rate: Range = Field((145, 195), description="speaking rate, from and to [words/min]")
    pitch: Range = Field((35, 65), description="pitch, from and to (50 is the voice's own, 0 to 100)")
    noises: tuple[Literal["white", "pink", "babble"], ...] = Field(
        ("white", "pink", "babble"), min_length=1, description="kinds of noise: white, pink, babble"
    )
    clean: float = Field(0.2, ge=0, le=1, description="share of utterances without noise")
    snr: Range = Field((10, 40), description="signal-to-noise ratio, from and to [dB]")
    gain: Range = Field((-20, -1), description="peak level below full scale, from and to [dB]")
    sampling_rate: Literal[8000, 16000, 22050] = Field(16000, description="[Hz]")
    stress: bool = Field(False, description="keep the stress marks of the phones")
    prune: float = Field(
        0.03, ge=0, le=1, description="pronunciations rarer than this, relative to the word's first, are left out"
    )

    @field_validator("rate", "pitch", "snr", "gain")
    @classmethod
    def _within(cls, value: Range, info: ValidationInfo) -> Range:
        least, most = LIMITS[str(info.field_name)]
        if not least <= value[0] <= value[1] <= most:
            raise ValueError(f"not a range from low to high within {least} to {most}")
        return value

    @field_validator("dialects", "variants")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("one is named twice")
        return names


class MiniConfig(VoiceConfig):
    """The embedded corpus."""

    hours: float = Field(1.0, gt=0, le=1000, description="speech in all parts together, about [h]")
    dev_share: float = Field(0.06, ge=0, le=0.4, description="share of dev")
    test_share: float = Field(0.12, ge=0, le=0.4, description="share of test")
    vocabulary: int = Field(450, ge=400, le=50_000, description="different words, about; more means more names")
    lm_sentences: int = Field(
        20_000, ge=0, le=10_000_000, description="further training sentences, not spoken, in text_train.txt"
    )
