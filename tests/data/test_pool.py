"""Work on several processes: all of it is done, errors come back, and nothing is left running."""

import multiprocessing
import operator
import os
import time
from functools import partial
from itertools import count

import pytest

from voxkit.data.manifests import parse_shard
from voxkit.data.pool import WorkerDied, spread
from voxkit.errors import UserError


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_comes_back_with_its_outcome(jobs: int) -> None:
    found = dict(spread(range(9), partial(partial, pow, 2), operator.call, jobs))
    assert found == {item: 2**item for item in range(9)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_users_error_comes_back_as_one(jobs: int) -> None:
    with pytest.raises(UserError, match="3/2: not a part") as caught:
        list(spread(["3/2"], partial(partial, parse_shard), operator.call, jobs))
    assert "1 <= I <= N" in caught.value.fix


def test_a_dead_process_is_noticed() -> None:
    with pytest.raises(WorkerDied):
        list(spread([1], partial(partial, os._exit), operator.call, 2))


def test_a_stop_drops_what_is_under_way() -> None:
    asked = count()
    assert not list(spread([600, 600], partial(partial, time.sleep), operator.call, 2, lambda: next(asked) > 5))
    assert not multiprocessing.active_children()


def test_items_are_taken_as_processes_become_free() -> None:
    taken: list[int] = []
    results = spread((taken.append(item) or item for item in range(100)), partial(partial, abs), operator.call, 2)
    next(results)
    assert len(taken) <= 6
    results.close()
    assert not multiprocessing.active_children()
