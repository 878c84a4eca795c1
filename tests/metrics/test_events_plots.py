"""The picture is drawn, whatever there is to draw."""

from pathlib import Path

import numpy as np
import pytest

from voxkit.data.events import Detection, Event
from voxkit.metrics.events import OperatingPoint, SpottedRecording, operating_points
from voxkit.metrics.events_plots import false_alarm_curve


def points(good: float) -> list[OperatingPoint]:
    draw = np.random.default_rng(0)
    said = [Event("yes", start, start + 0.5) for start in range(10, 3590, 20)]
    hits = [Detection("yes", event.start + 0.3, float(draw.beta(good, 1))) for event in said]
    alarms = [Detection("yes", float(time), float(draw.beta(1, good))) for time in draw.uniform(0, 3600, 60)]
    return operating_points([SpottedRecording(3600, said, [*hits, *alarms])])


@pytest.mark.parametrize(
    "systems",
    [{"full band": points(3), "sub-band": points(6)}, {}, {"a": []}, {"a": [OperatingPoint(0.5, 0, 0, 3, 1)]}],
)
def test_the_curve_is_drawn(systems: dict[str, list[OperatingPoint]], tmp_path: Path) -> None:
    false_alarm_curve(systems, tmp_path / "det.png")
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")
