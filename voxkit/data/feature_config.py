"""What features are computed: the typed settings, free of torch so that commands can show them at once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from voxkit.config import Config

FeatureKind = Literal["fbank", "mfcc", "log_stft"]


class FeatureConfig(Config):
    """Acoustic features; the defaults are Kaldi's 80-channel log-mel filter bank on 16 kHz audio."""

    kind: FeatureKind = Field("fbank", description="log-mel filter bank, cepstra of it, or log power spectrum")
    sampling_rate: int = Field(16000, ge=1000, le=192000, description="of the audio that goes in [Hz]")
    frame_length: float = Field(0.025, gt=0, le=1, description="width of the analysis window [s]")
    frame_shift: float = Field(0.01, gt=0, le=1, description="from one frame to the next, whole samples [s]")
    window: Literal["povey", "hann", "hamming", "rectangular"] = Field("povey", description="analysis window")
    preemphasis: float = Field(0.97, ge=0, le=1, description="x[n] - c x[n-1]; 0 is off")
    dither: float = Field(0.0, ge=0, le=1, description="standard deviation of added noise, full scale is 1; 0 is off")
    num_mels: int = Field(80, ge=4, le=512, description="mel channels of fbank and mfcc; Kaldi's MFCC has 23")
    low_freq: float = Field(20.0, ge=0, description="lower edge of the mel channels [Hz]")
    high_freq: float = Field(-400.0, description="upper edge [Hz]; zero or negative counts from half the sampling rate")
    num_ceps: int = Field(13, ge=1, le=512, description="cepstra of mfcc, C0 included")
    cepstral_lifter: float = Field(22.0, ge=0, description="liftering coefficient of mfcc; 0 is off")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shift = self.frame_shift * self.sampling_rate
        if abs(shift - round(shift)) > 1e-6 or round(shift) < 1:
            nearest = max(round(shift), 1) / self.sampling_rate
            raise ValueError(
                f"frame_shift {self.frame_shift:g} s is {shift:g} samples at {self.sampling_rate} Hz, which must be a "
                f"whole number; the nearest is {nearest:.10g}"
            )
        if self.window_samples < self.shift_samples:
            raise ValueError(f"frame_length {self.frame_length:g} s is shorter than frame_shift {self.frame_shift:g} s")
        if not self.low_freq < self.top_freq <= self.sampling_rate / 2:
            raise ValueError(
                f"the mel channels from {self.low_freq:g} to {self.top_freq:g} Hz do not fit below half the sampling "
                f"rate ({self.sampling_rate / 2:g} Hz)"
            )
        if self.kind == "mfcc" and self.num_ceps > self.num_mels:
            raise ValueError(f"num_ceps {self.num_ceps} is more than num_mels {self.num_mels}")
        return self

    @property
    def window_samples(self) -> int:
        """Samples in one analysis window."""
        return int(self.frame_length * self.sampling_rate + 1e-6)

    @property
    def shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift * self.sampling_rate)

    @property
    def fft_size(self) -> int:
        """The window, zero-padded to a power of two [samples]."""
        return max(2, 1 << (self.window_samples - 1).bit_length())

    @property
    def top_freq(self) -> float:
        """The upper edge of the mel channels [Hz]."""
        return self.high_freq if self.high_freq > 0 else self.sampling_rate / 2 + self.high_freq

    @property
    def dim(self) -> int:
        """Values per frame, F."""
        return {"fbank": self.num_mels, "mfcc": self.num_ceps, "log_stft": self.fft_size // 2 + 1}[self.kind]

    def num_frames(self, num_samples: int) -> int:
        """Frames T of so many samples: their number over the shift, rounded half up (Kaldi's snip_edges=false)."""
        return (num_samples + self.shift_samples // 2) // self.shift_samples


class SpecAugmentConfig(Config):
    """Masks and warps on the normalised features, in training only."""

    frequency_masks: int = Field(2, ge=0, le=20, description="blocks of channels masked in each utterance")
    frequency_width: int = Field(20, ge=0, le=80, description="largest block [channels]")
    time_share: float = Field(0.2, ge=0, le=1, description="most that all time masks cover [share of the frames]")
    time_width: int = Field(20, ge=0, description="largest time mask [frames]")
    warp: float = Field(0.08, ge=0, le=0.3, description="largest relative stretch of the frequency axis")
