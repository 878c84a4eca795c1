"""Shapes, padding and masks of the shared modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voxkit.nn.conformer import Conformer
from voxkit.nn.masks import padding_mask
from voxkit.nn.onnx_graph import Graph, write
from voxkit.nn.recurrent import BiLstm
from voxkit.nn.specaugment import SpecAugment
from voxkit.nn.subsampling import ConvSubsampling
from voxkit.nn.tdnn import Tdnn
from voxkit.onnx_model import OnnxModel


def test_padding_mask_marks_valid_frames() -> None:
    assert padding_mask(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize("encoder", [Tdnn(16, 5, (1, 2), 0.0), BiLstm(16, 2, 0.0), Conformer(16, 2, 2, 5, 0.0)])
def test_padding_does_not_reach_valid_frames(encoder: torch.nn.Module) -> None:
    for parameter in encoder.eval().parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases too: they are what would leak
    x = torch.randn(1, 7, 16)
    padded = torch.cat([x, torch.full((1, 4, 16), 9.0)], dim=1)
    short = encoder(x, torch.tensor([7]))
    long = encoder(padded, torch.tensor([7]))
    assert torch.allclose(short, long[:, :7], atol=1e-5)


@pytest.mark.parametrize("encoder", [Tdnn(16, 5, (1, 2), 0.0), BiLstm(16, 2, 0.0), Conformer(16, 2, 2, 5, 0.0)])
def test_an_exported_encoder_says_the_same_of_any_lengths(encoder: torch.nn.Module, tmp_path: Path) -> None:
    for parameter in encoder.eval().parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    axes = {0: "batch", 1: "frames"}
    example = {"x": torch.randn(2, 12, 16), "lengths": torch.tensor([12, 5])}
    write(encoder, Graph(example, ["y"], {"x": axes, "lengths": {0: "batch"}, "y": axes}), tmp_path / "m.onnx", {})
    graph = OnnxModel(tmp_path / "m.onnx")
    for lengths in ([1], [12], [30], [4, 9, 2], [7, 7], [1, 33]):
        counts = torch.tensor(lengths)
        x = torch.randn(len(counts), max(lengths), 16)
        valid = padding_mask(counts, max(lengths))
        with torch.inference_mode():
            expected, found = encoder(x, counts)[valid], graph(x, counts)[valid]
            assert torch.allclose(expected, found, atol=1e-4)
            longer = torch.cat([x, torch.full((len(counts), 5, 16), 9.0)], dim=1)
            assert torch.allclose(expected, graph(longer, counts)[:, : max(lengths)][valid], atol=1e-4)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 2, 7, 12])
def test_subsampling_keeps_every_nth_frame(factor: int, frames: int) -> None:
    layer = ConvSubsampling(20, 8, factor, 4, 0.0)
    mask = torch.ones(2, frames, dtype=torch.bool)
    assert layer(torch.randn(2, frames, 20), mask).shape == (2, -(-frames // factor), 8)


def test_specaugment_masks_in_training_only() -> None:
    torch.manual_seed(0)
    layer = SpecAugment(frequency_masks=2, frequency_width=10, time_share=0.3, time_width=10, warp=0.0)
    x, lengths = torch.ones(8, 100, 40), torch.full((8,), 100)
    masked = layer(x, lengths)
    assert 0 < int((masked == 0).sum()) < masked.numel()
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert layer.eval()(x, lengths) is x


def test_warp_moves_a_peak_by_at_most_its_share() -> None:
    torch.manual_seed(1)
    layer = SpecAugment(frequency_masks=0, frequency_width=0, time_share=0, time_width=0, warp=0.1)
    x = torch.zeros(64, 3, 80)
    x[:, :, 40] = 1.0
    peaks = layer(x, torch.full((64,), 3)).argmax(-1)
    assert peaks.min() >= 36
    assert peaks.max() <= 45
    assert len(peaks[:, 0].unique()) > 3
