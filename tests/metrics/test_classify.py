"""Measures of classification against scikit-learn, by hand, and in files and pictures."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.image import imread
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score

from voxkit.errors import UserError
from voxkit.metrics.calibration import Judged as Confidences
from voxkit.metrics.classify import ClassifyReport, Judged, plural
from voxkit.metrics.classify_plots import Costed, accuracy_against_cost, confusion_matrix_plot, det_plot

LEVELS = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
CLIPS = st.lists(st.tuples(st.tuples(LEVELS, LEVELS, LEVELS), st.tuples(*[st.booleans()] * 3)), min_size=2, max_size=30)
Clips = list[tuple[tuple[float, ...], tuple[bool, ...]]]


def names(count: int) -> list[str]:
    return [f"clip{number}" for number in range(count)]


def multi(clips: Clips) -> Judged:
    return Judged.of(names(len(clips)), "abc", [held for _, held in clips], [scores for scores, _ in clips], "multi")


def made_up(seed: int, clips: int = 400, classes: int = 5, apart: float = 1.5, folds: int = 0) -> Judged:
    draw = np.random.default_rng(seed)
    truth = draw.integers(classes, size=clips)
    logits = draw.normal(size=(clips, classes))
    logits[np.arange(clips), truth] += apart
    scores = np.exp(logits)
    groups = [f"fold{number % folds}" for number in range(clips)] if folds else None
    labels = [f"c{number}" for number in range(classes)]
    return Judged.of(names(clips), labels, truth, scores / scores.sum(axis=1, keepdims=True), "single", groups, "fold")


@given(CLIPS)
def test_classes_are_scored_as_scikit_learn_does(clips: Clips) -> None:
    judged = multi(clips)
    report = ClassifyReport(judged, replications=1)
    for index, row in enumerate(report.by_class):
        truth, scores = judged.reference[:, index], judged.scores[:, index]
        assert row.f1 is None or row.f1 == pytest.approx(100 * f1_score(truth, scores >= 0.5))
        if 0 < truth.sum() < len(truth):
            assert row.auc == pytest.approx(100 * roc_auc_score(truth, scores))
            assert row.ap == pytest.approx(100 * average_precision_score(truth, scores))
            assert row.eer == pytest.approx(Confidences.of(scores, truth).measures().eer)
        else:
            assert (row.auc, row.eer, row.ap) == (None, None, None)
    scored = [row.auc for row in report.by_class if row.auc is not None]
    assert (report.auc is None) == (not scored)
    assert report.auc is None or report.auc.value == pytest.approx(sum(scored) / len(scored))


@given(CLIPS, st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_draw_is_the_measure_of_the_clips_drawn(clips: Clips, times: list[int]) -> None:
    times = times[: len(clips)]
    repeated = [clip for clip, count in zip(clips, times, strict=True) for _ in range(count)]
    if repeated:
        drawn = ClassifyReport(multi(clips)).measures(np.array([times], dtype=float))
        again = ClassifyReport(multi(repeated)).measures(np.ones((1, len(repeated))))
        np.testing.assert_allclose(drawn, again, rtol=1e-9, atol=1e-9)


@given(CLIPS)
def test_only_the_order_of_scores_counts_and_turning_it_round_mirrors_the_curve(clips: Clips) -> None:
    weight = np.ones((1, len(clips)))
    found = ClassifyReport(multi(clips))._by_class(weight)[0, :, :2]
    halved = ClassifyReport(multi([(tuple(s / 2 for s in scores), held) for scores, held in clips]))
    turned = ClassifyReport(multi([(scores, tuple(not h for h in held)) for scores, held in clips]))
    np.testing.assert_allclose(halved._by_class(weight)[0, :, :2], found, atol=1e-9)
    np.testing.assert_allclose(turned._by_class(weight)[0, :, :2], 100 - found, atol=1e-9)


def test_a_single_label_report() -> None:
    judged = made_up(0, folds=4)
    report = ClassifyReport(judged)
    truth = judged.reference.argmax(axis=1)
    taken = judged.scores.argmax(axis=1)
    assert report.confusion.tolist() == confusion_matrix(truth, taken).tolist()
    assert report.accuracy.value == pytest.approx(100 * (truth == taken).mean())
    assert report.auc is not None
    assert report.auc.value == pytest.approx(100 * roc_auc_score(truth, judged.scores, multi_class="ovr"))
    assert report.macro_f1 == pytest.approx(100 * f1_score(truth, taken, average="macro"))
    assert report.macro_recall == pytest.approx(sum(row.recall or 0 for row in report.by_class) / 5)
    assert report.mean_over_groups == pytest.approx(report.accuracy.value)  # folds of one size
    alone = [number for number in range(400) if number % 4 == 2]
    fold = report.by_group["fold2"]
    assert (fold.clips, fold.right) == (100, report.right[alone].sum())
    assert fold.auc == pytest.approx(100 * roc_auc_score(truth[alone], judged.scores[alone], multi_class="ovr"))


def test_the_mean_over_groups_is_plain() -> None:
    judged = Judged.of(names(4), "ab", [0, 0, 1, 1], [[1, 0], [1, 0], [0, 1], [1, 0]], "single", list("xxxy"))
    report = ClassifyReport(judged)
    assert report.mean_over_groups == pytest.approx(50)
    assert report.accuracy.value == pytest.approx(75)
    assert report.by_group["y"].auc is None


def test_intervals_are_those_of_a_binomial_and_hold_again() -> None:
    judged = made_up(1, clips=1000)
    value, low, high = ClassifyReport(judged).accuracy
    spread = 1.96 * math.sqrt(value * (100 - value) / 1000)
    assert (low, high) == pytest.approx((value - spread, value + spread), abs=0.5)
    assert ClassifyReport(judged).accuracy == (value, low, high)
    assert ClassifyReport(judged, seed=1).accuracy[1:] != (low, high)


def test_intervals_cover_the_truth() -> None:
    truth = ClassifyReport(made_up(99, clips=40_000), replications=1)
    inside = np.zeros(3)
    for seed in range(40):
        report = ClassifyReport(made_up(seed, clips=150), replications=200)
        for place, name in enumerate(("accuracy", "auc", "eer")):
            found, wanted = getattr(report, name), getattr(truth, name).value
            inside[place] += found.low <= wanted <= found.high
    assert (inside >= 33).all()  # 95 % of 40 is 38


def test_draws_in_parts_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxkit.metrics.classify._AT_ONCE", 1000)
    weights = list(ClassifyReport(made_up(0), replications=7)._weights())
    assert [len(some) for some in weights] == [2, 2, 2, 1]
    assert all((some.sum(axis=1) == 400).all() for some in weights)


def test_lines_of_single_labels() -> None:
    judged = Judged.of(names(3), "abc", [0, 1, 1], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], "single", "xyy")
    found = ClassifyReport(judged).lines("exp/x")
    assert found[0] == "%ACC 66.67 [ 2 / 3, 0.00 to 100.00 ] exp/x"
    assert found[1] == "%ACC 75.00 [ mean over 2 groups, lowest 50.00, highest 100.00 ] exp/x"
    assert found[2] == "%UAR 75.00 [ macro over 2 classes ] exp/x"
    assert found[3] == "%AUC 100.00 [ 100.00 to 100.00, macro over 2 classes ] exp/x"
    assert found[4] == "%EER 0.00 [ 0.00 to 0.00, macro over 2 classes ] exp/x"
    assert found[5:] == [
        "AUC and EER leave out, as all clips have them or none: c",
        "intervals are 95 % bootstrap over clips",
    ]


def test_lines_of_several_labels_and_their_thresholds() -> None:
    judged = multi([((0.9, 0.2, 0.1), (True, True, False)), ((0.1, 0.1, 0.2), (False, False, False))])
    found = ClassifyReport(judged, thresholds=[0.5, 0.15, 0.5]).lines("exp/x")
    heads = [line.split(" [")[0] for line in found[:4]]
    assert heads == ["%AUC 100.00", "%EER 0.00", "%MAP 100.00", "%F1 100.00"]
    assert found[3] == "%F1 100.00 [ macro over 2 classes, at thresholds 0.15 to 0.50 ] exp/x"
    plain = ClassifyReport(judged)
    assert plain.macro_f1 == pytest.approx(50)
    assert plain.right.tolist() == [False, True]
    assert plain.by_class[1][1:7] == (1, 0, 0, None, 0, 0)
    with pytest.raises(ValueError, match="confusion"):
        _ = plain.confusion


def test_files(tmp_path: Path) -> None:
    report = ClassifyReport(made_up(3, folds=2))
    report.write(tmp_path, "there", "Made up")
    score = json.loads((tmp_path / "score.json").read_text("utf-8"))
    assert score == json.loads(json.dumps(report.as_dict()))
    assert score["accuracy"]["right"] == report.right.sum()
    assert score["by_fold"]["fold1"]["clips"] == 200
    assert score["mean_accuracy_over_folds"] == report.mean_over_groups
    assert (tmp_path / "scores.txt").read_text("utf-8").splitlines() == report.lines("there")
    by_class = (tmp_path / "by_class.txt").read_text("utf-8").splitlines()
    assert by_class[0].split() == "class clips predicted right precision recall f1 auc eer ap threshold".split()
    assert by_class[2].split()[:2] == ["c1", str(report.by_class[1].clips)]
    assert len(set(map(len, by_class))) == 1
    assert (tmp_path / "by_group.txt").read_text("utf-8").split()[0] == "fold"
    confusion = (tmp_path / "confusion.txt").read_text("utf-8").splitlines()
    assert [int(cell) for cell in confusion[1].split()[1:]] == report.confusion[0].tolist()
    for name in ("confusion.png", "det.png"):
        assert (tmp_path / name).stat().st_size > 5000


def test_files_of_several_labels_without_a_measure_are_valid(tmp_path: Path) -> None:
    ClassifyReport(multi([((0.1, 0.2, 0.3), (False, False, True))])).write(tmp_path, "there")
    score = json.loads((tmp_path / "score.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert score["auc"] is None
    assert score["without_auc_and_eer"] == ["a", "b", "c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by_class.txt", "det.png", "score.json", "scores.txt"]
    assert (tmp_path / "by_class.txt").read_text("utf-8").splitlines()[3].split() == (
        "c 1 0 0 - 0.00 0.00 - - - 0.5000".split()
    )


def test_what_cannot_be_scored() -> None:
    with pytest.raises(UserError, match="no clips"):
        Judged.of([], "ab", np.zeros(0, int), np.zeros((0, 2)), "single")
    with pytest.raises(UserError, match="same: there 2 times"):
        Judged.of(["same", "same"], "ab", [0, 1], [[1, 0], [0, 1]], "single")
    with pytest.raises(UserError, match="y: its scores are not numbers"):
        Judged.of(["x", "y"], "ab", [0, 1], [[1, 0], [0, math.nan]], "single")


@pytest.mark.parametrize(
    ("reference", "scores", "kind"),
    [
        ([0, 2], [[1, 0], [0, 1]], "single"),
        ([0, -1], [[1, 0], [0, 1]], "single"),
        ([0.0, 1.0], [[1, 0], [0, 1]], "single"),
        ([0, 1], [[1.1, 0], [0, 1]], "single"),
        ([0, 1], [[1, 0, 0], [0, 1, 0]], "single"),
        ([0, 1], [[1, 0], [0, 1]], "multi"),
        ([[True, False], [False, True]], [[1, 0], [0, 1]], "single"),
    ],
)
def test_what_is_no_set_of_clips(reference: object, scores: object, kind: str) -> None:
    with pytest.raises(ValueError, match=r"scores|reference"):
        Judged.of(["x", "y"], "ab", reference, scores, kind)  # type: ignore[arg-type]


def test_rounded_posteriors_are_taken() -> None:
    judged = Judged.of(["x"], "ab", [0], np.array([[1.0000001, 0]], dtype=np.float32), "single")
    assert judged.scores.max() == 1


def test_what_is_no_report() -> None:
    single, several = made_up(0), multi([((0.1, 0.2, 0.3), (False, False, True))])
    with pytest.raises(ValueError, match="highest score decides"):
        ClassifyReport(single, thresholds=[0.5] * 5)
    with pytest.raises(ValueError, match="for 3 classes"):
        ClassifyReport(several, thresholds=[0.5])
    with pytest.raises(ValueError, match="replication"):
        ClassifyReport(single, replications=-1)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_without_replications_there_are_no_intervals(kind: str) -> None:
    judged = (
        made_up(0)
        if kind == "single"
        else multi([((0.1, 0.9, 0.3), (False, True, True)), ((0.2, 0.3, 0.8), (True, False, False))])
    )
    plain, whole = ClassifyReport(judged, replications=0), ClassifyReport(judged)
    assert plain.accuracy.value == whole.accuracy.value
    assert not np.isfinite(plain.accuracy[1:]).any()
    told = plain.lines("x")
    assert [line.split()[:2] for line in told] == [line.split()[:2] for line in whole.lines("x") if line[0] == "%"]
    assert not any("nan" in line or " to " in line.replace("thresholds 0.50 to 0.50", "") for line in told)
    assert plain.as_dict()["accuracy"]["low"] is None


def test_names_of_groups_have_plurals() -> None:
    judged = Judged.of("ab", "xy", [0, 1], np.eye(2), "single", ["x", "y"], "class")
    report = ClassifyReport(judged, replications=1)
    assert "mean over 2 classes" in report.lines("x")[1]
    assert report.as_dict()["mean_accuracy_over_classes"] == 100
    assert (plural("fold"), plural("speaker")) == ("folds", "speakers")


def test_pictures_of_many_and_of_few_classes(tmp_path: Path) -> None:
    many, few = ClassifyReport(made_up(0, classes=45)), ClassifyReport(made_up(0, classes=2))
    for report, name in ((many, "many"), (few, "few")):
        confusion_matrix_plot(report, tmp_path / f"{name}.png", name)
        det_plot(report, tmp_path / f"det_{name}.png")
        assert (tmp_path / f"det_{name}.png").stat().st_size > 5000
    assert imread(tmp_path / "many.png").shape > imread(tmp_path / "few.png").shape


@pytest.mark.parametrize("span", [1.0, 1.2, 30.0, 1e5])
def test_accuracy_against_cost(tmp_path: Path, span: float, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr("voxkit.metrics.classify_plots.save_figure", lambda figure, path: kept.append(figure))
    points = [
        Costed("float", 1e6, 90, math.nan, math.nan, "plain"),
        Costed("int8", 1e6 * span, 92, 91, 93),
        Costed("float", 1.1e6, 91, 90, 93),
    ]
    accuracy_against_cost(points, tmp_path / "cost.png", unit="B")
    (axes,) = kept[0].axes
    kept[0].canvas.draw()
    low, high = axes.get_xlim()
    shown = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert 2 <= len(shown) <= 8
    assert any("MB" in label.get_text() for label in shown)
    first: NDArray[np.float64] = axes.lines[0].get_xydata()
    assert first.tolist() == [[1e6, 90], [1.1e6, 91]]
    pyplot.close(kept[0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["float", "int8"]


def test_labels_of_points_do_not_cover_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr("voxkit.metrics.classify_plots.save_figure", lambda figure, path: kept.append(figure))
    near = [Costed(name, cost, 97.3, 96, 98, "32") for name in "abcd" for cost in (1e6, 3e6)]
    accuracy_against_cost([*near, Costed("e", 9e6, 90, 89, 91, "8")], tmp_path / "cost.png")
    (figure,) = kept
    (axes,) = figure.axes
    assert len(axes.texts) == 9
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    pyplot.close(figure)


def test_the_classes_without_a_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr("voxkit.metrics.classify_plots.save_figure", lambda figure, path: kept.append(figure))
    for classes, told in ((5, r"1 other class  [\d.]+ %"), (9, r"5 other classes  [\d.]+ to [\d.]+ %")):
        det_plot(ClassifyReport(made_up(0, classes=classes), replications=0), tmp_path / "det.png")
        assert any(re.fullmatch(told, text.get_text()) for text in kept[-1].axes[0].texts)
        pyplot.close(kept[-1])


def test_costs_are_above_zero(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above zero"):
        accuracy_against_cost([Costed("a", 0, 90, 89, 91)], tmp_path / "cost.png")
