"""Networks over log-mel images, and what is around them."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.nn.clip_classifier import ClipClassifier, graph
from voxkit.nn.counting import count
from voxkit.nn.onnx_graph import verify, write
from voxkit.nn.sound_cnn import SoundCnn
from voxkit.nn.specaugment import SpecAugment

OFF = SpecAugment(frequency_masks=0, frequency_width=0, time_share=0.0, time_width=0, warp=0.0)


def net(separable: bool = False, channels: tuple[int, ...] = (4, 6), depth: int = 1, stem: int = 3) -> SoundCnn:
    torch.manual_seed(0)
    return SoundCnn(channels, depth, separable, stem, classes=3, dropout=0.5).eval()


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(4, 40), st.booleans(), st.integers(1, 3), st.integers(1, 2))
def test_any_length_gives_logits(frames: int, features: int, separable: bool, blocks: int, depth: int) -> None:
    model = net(separable, tuple(range(2, 2 + blocks)), depth)
    assert model(torch.randn(2, 1, frames, features)).shape == (2, 3)


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    for separable in (False, True):
        model, x = net(separable), torch.randn(4, 1, 20, 16)
        together = model(x)
        torch.testing.assert_close(together, torch.cat([model(one[None]) for one in x]))


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    x = torch.zeros(1, 1, 16, 16)
    plain, apart = (count(net(separable, (4, 8)), x) for separable in (False, True))
    stem, first, second = 64 * 9 * 4, 64 * 9 * 4 * 4, 16 * 9 * 4 * 8  # after the stem 8 x 8, after pooling 4 x 4
    assert plain.multiply_adds == stem + first + second + 8 * 3
    first, second = 64 * (9 * 4 + 4 * 4), 16 * (9 * 4 + 4 * 8)
    assert apart.multiply_adds == stem + first + second + 8 * 3


def test_a_classifier_normalises_and_masks_in_training_alone() -> None:
    masks = SpecAugment(frequency_masks=2, frequency_width=8, time_share=0.5, time_width=10, warp=0.0)
    model = ClipClassifier(net(), 16, masks, 20)
    model.mean.fill_(5)
    model.deviation.fill_(2)
    x = torch.randn(2, 20, 16)
    torch.testing.assert_close(model.eval()(5 + 2 * x), model.net(x.unsqueeze(1)))
    model.train()
    model.net.eval()
    masked = [model(5 + 2 * x) for _ in range(5)]
    assert any(not torch.equal(one, other) for one, other in itertools.pairwise(masked))


@pytest.mark.parametrize("separable", [False, True])
def test_its_graph_takes_any_batch(separable: bool, tmp_path: Path) -> None:
    model = ClipClassifier(net(separable), 16, OFF, 20).eval()
    made = graph(model)
    assert (list(made.inputs), made.outputs) == (["features"], ["logits"])
    assert made.inputs["features"].shape[1:] == (20, 16)
    file = tmp_path / "model.onnx"
    write(model, made, file, {"a": "b"})
    assert verify(model, made, file, 1e-4) < 1e-4
