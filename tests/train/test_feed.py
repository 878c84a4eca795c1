import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import Toy, configured

from voxkit.errors import UserError
from voxkit.train.dist import World
from voxkit.train.feed import groups, positions, steps_per_epoch

CPU = torch.device("cpu")
sizes = st.integers(1, 5)


@given(st.integers(1, 60), st.data(), sizes, sizes)
def test_every_process_does_the_same_number_of_steps_and_no_batch_is_left_out(batches, data, accumulate, size):
    start = data.draw(st.integers(0, batches - 1))
    plans = [positions(batches, start, accumulate, rank, size) for rank in range(size)]
    assert len({len(plan) for plan in plans}) == 1
    assert all(len(step) == accumulate for plan in plans for step in plan)
    taken = sorted(position for plan in plans for step in plan for position in step)
    padded = -(-(batches - start) // (accumulate * size)) * accumulate * size
    assert taken == list(range(start, start + padded))


@given(st.integers(1, 60), sizes, sizes)
def test_processes_and_accumulation_are_interchangeable(batches, accumulate, size):
    alone = positions(batches, 0, accumulate * size, 0, 1)
    together = [positions(batches, 0, accumulate, rank, size) for rank in range(size)]
    assert [sorted(step) for step in alone] == [
        sorted(itertools.chain(*steps)) for steps in zip(*together, strict=True)
    ]


@given(st.integers(1, 60), sizes, st.data())
def test_an_epoch_can_be_entered_at_any_step(batches, accumulate, data):
    whole = positions(batches, 0, accumulate, 0, 1)
    skipped = data.draw(st.integers(0, len(whole) - 1))
    assert positions(batches, skipped * accumulate, accumulate, 0, 1) == whole[skipped:]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_depends_on_its_place_alone(tmp_path, workers):
    config = configured(train={"workers": workers, "accumulate": 2})
    task = Toy(config, tmp_path)

    def read(epoch, batch, count):
        feed = groups(task, config.train, World(0, 1, CPU), epoch, batch, release=lambda: None)
        return [
            (g.epoch, g.end, g.last, [(m.position, m.batch["x"]) for m in g.micros])
            for g in itertools.islice(feed, count)
        ]

    whole, rest = read(0, 0, 8), read(0, 4, 6)
    assert [(epoch, end, last) for epoch, end, last, _ in whole[:5]] == [
        (0, 2, False),
        (0, 4, False),
        (0, 6, False),
        (0, 8, True),
        (1, 2, False),
    ]
    for (*place, micros), (*again, others) in zip(whole[2:], rest, strict=True):
        assert place == again
        assert all(p == q and torch.equal(x, y) for (p, x), (q, y) in zip(micros, others, strict=True))
    config = configured(train={"workers": 1 - workers, "accumulate": 2})
    assert all(
        torch.equal(x, y)
        for a, b in zip(rest, read(0, 4, 6), strict=True)
        for (_, x), (_, y) in zip(a[3], b[3], strict=True)
    )


def test_length_and_emptiness(tmp_path):
    config = configured(batches=7, train={"accumulate": 2})
    assert steps_per_epoch(7, config.train, World(0, 2, CPU)) == 2
    empty = configured(batches=0)
    with pytest.raises(UserError, match="no training batches"):
        next(groups(Toy(empty, tmp_path), empty.train, World(0, 1, CPU), 0, 0, release=lambda: None))
