"""What a search can be told (imports nothing heavy: commands read it for their help)."""

from __future__ import annotations

from pydantic import Field

from voxkit.config import Config


class SearchConfig(Config):
    """The beam search. The language model's scale is 1: only its ratio to `acoustic_scale` counts."""

    beam: float = Field(14.0, gt=0, le=100, description="how much worse than the best a partial path may be [-log]")
    lattice_beam: float = Field(
        8.0, gt=0, le=100, description="how much worse than the best path lattices reach [-log]"
    )
    max_states: int = Field(40, ge=1, description="size of lattices from which on beams narrow [search states a frame]")
    acoustic_scale: float = Field(1.0, gt=0, le=20, description="factor on the network's log-probabilities")
    blank_penalty: float = Field(0.0, ge=-10, le=10, description="taken from the blank's log-probability [-log]")
