"""The YouTube-8M metrics: golden values, conventions counted by hand, plain loops, and life inside `fit`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.metrics.ranking import F1, GAP, PERR, BestThreshold, HitAtOne, MeanAveragePrecision
from tests.helpers.whole_arrays import measure
from tests.reference import ranking as reference

GOLDEN = {"gap": GAP, "hit1": HitAtOne, "perr": PERR, "map": MeanAveragePrecision}


def random_videos(videos=60, classes=30, seed=0):
    """Labels and probabilities without ties; a few videos have no label, some more than 20, two classes none."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((videos, classes)) < 0.1).astype(np.float32)
    labels[: videos // 10] = 0
    labels[videos // 10 : videos // 5, :25] = 1
    labels[:, -2:] = 0
    scores = rng.permutation(videos * classes).reshape(videos, classes) / (videos * classes)
    return labels, (0.3 * labels + 0.7 * scores).astype(np.float32)


def fed_unevenly(metric, labels, probabilities):
    for part in np.split(np.arange(len(labels)), [1, 4, 30]):
        metric.update_state(labels[part], probabilities[part])
    return float(metric.result())


@pytest.mark.golden
@pytest.mark.parametrize("array", GOLDEN)
def test_golden(golden, array):
    file = "youtube8m_metrics.npz"
    labels, probabilities = golden[file, "labels"], golden[file, "probs"]
    for batch_size in (len(labels), 64, 7, 1):
        golden.compare(file, array, measure(GOLDEN[array](), labels, probabilities, batch_size), 1e-6, unit="one")


@pytest.mark.golden
def test_error_of_histograms_on_golden_data(golden):
    file = "youtube8m_metrics.npz"
    labels, probabilities = golden[file, "labels"], golden[file, "probs"]
    exact = reference.mean_average_precision(labels, probabilities, top_k=None)
    assert exact == pytest.approx(float(golden[file, "map"]) + 0.017, abs=1e-3)
    assert measure(MeanAveragePrecision(capped=False), labels, probabilities) == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize(
    "metric, expected",
    [
        (GAP(), reference.gap),
        (GAP(top_k=3), lambda *arrays: reference.gap(*arrays, top_k=3)),
        (HitAtOne(), reference.hit_at_one),
        (PERR(), reference.perr),
        (MeanAveragePrecision(), reference.mean_average_precision),
        (MeanAveragePrecision(top_k=2), lambda *arrays: reference.mean_average_precision(*arrays, top_k=2)),
        (F1(0.4), lambda *arrays: reference.f1(*arrays, 0.4)),
        (F1(0.4, "macro"), lambda *arrays: reference.f1(*arrays, 0.4, "macro")),
    ],
)
def test_as_plain_loops_compute_it(metric, expected):
    labels, probabilities = random_videos()
    assert fed_unevenly(metric, labels, probabilities) == pytest.approx(expected(labels, probabilities), abs=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0
    labels, probabilities = random_videos(seed=1)
    assert fed_unevenly(metric, labels, probabilities) == pytest.approx(expected(labels, probabilities), abs=1e-6)


def test_more_than_twenty_labels():
    # Of 25 labels, 20 can be found: the other five count as missed.
    labels, probabilities = np.ones((1, 25)), np.linspace(0.1, 0.9, 25)[None]
    assert measure(GAP(), labels, probabilities) == pytest.approx(20 / 25)
    assert measure(MeanAveragePrecision(), labels, probabilities) == pytest.approx(20 / 25)
    assert measure(MeanAveragePrecision(capped=False), labels, probabilities) == pytest.approx(1)
    assert measure(PERR(), labels, probabilities) == pytest.approx(1)


def test_video_without_labels():
    labels = np.array([[1, 0], [0, 0]])
    probabilities = np.array([[0.6, 0.1], [0.8, 0.3]])
    # Its entry of 0.8 stands above the right one.
    assert measure(GAP(), labels, probabilities) == pytest.approx(1 / 2)
    assert measure(MeanAveragePrecision(), labels, probabilities) == pytest.approx(1 / 2)
    assert measure(HitAtOne(), labels, probabilities) == 0.5
    assert measure(PERR(), labels, probabilities) == 0.5
    assert measure(F1(), labels, probabilities) == pytest.approx(2 / 3)


def test_no_video_has_a_label():
    labels, probabilities = np.zeros((2, 3)), np.full((2, 3), 0.5)
    metrics = (
        GAP(),
        HitAtOne(),
        PERR(),
        MeanAveragePrecision(),
        MeanAveragePrecision(False),
        F1(),
        F1(0.5, "macro"),
    )
    assert [measure(metric, labels, probabilities) for metric in metrics] == [0] * len(metrics)


def test_class_that_no_video_has_is_left_out_of_means():
    labels = np.array([[1, 0], [0, 0]])
    probabilities = np.array([[0.9, 0.6], [0.2, 0.7]])
    for capped in (True, False):
        metric = MeanAveragePrecision(capped)
        assert measure(metric, labels, probabilities) == pytest.approx(1)
        np.testing.assert_array_equal(metric.per_class(), [1, np.nan])
    assert measure(F1(0.5, "macro"), labels, probabilities) == pytest.approx(1)
    assert measure(F1(0.5, "micro"), labels, probabilities) == pytest.approx(2 / 4)


def test_ties_between_videos_count_as_over_all_orders():
    labels, probabilities = np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]])
    for metric in (GAP(), MeanAveragePrecision(), MeanAveragePrecision(capped=False)):
        assert measure(metric, labels, probabilities) == pytest.approx(0.75)
        assert measure(metric, labels[::-1], probabilities) == pytest.approx(0.75)


def test_ties_within_a_video_prefer_the_lower_class():
    probabilities = np.full((1, 4), 0.5)
    first, last = np.eye(4)[[0]], np.eye(4)[[3]]
    assert [measure(HitAtOne(), labels, probabilities) for labels in (first, last)] == [1, 0]
    assert [measure(PERR(), labels, probabilities) for labels in (first, last)] == [1, 0]
    assert [measure(GAP(top_k=1), labels, probabilities) for labels in (first, last)] == [1, 0]


def test_perr_of_probability_zero():
    # Asked for two: the class of probability 0 is not right, though it is a label.
    assert measure(PERR(), np.array([[1, 0, 1]]), np.array([[0.4, 0, 0]])) == 0.5


def test_fewer_classes_than_the_top():
    labels, probabilities = random_videos(classes=5)
    assert measure(GAP(), labels, probabilities) == pytest.approx(reference.gap(labels, probabilities), abs=1e-6)


def test_f1_by_hand():
    # Class 0: one right, one wrong; class 1: one right, one missed.
    labels = np.array([[1, 1], [0, 1]])
    probabilities = np.array([[0.5, 0.9], [0.7, 0.4]])
    assert measure(F1(0.5), labels, probabilities) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert measure(F1(0.5, "macro"), labels, probabilities) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert measure(F1(0.4), labels, probabilities) == pytest.approx(6 / 7)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_best_threshold(average):
    labels, probabilities = random_videos()
    metric = BestThreshold(average)
    measure(metric, labels, probabilities)
    threshold, f1 = metric.best()
    assert threshold == np.float32(threshold) == float(metric.result())
    # Exact at that threshold; no other one is better by more than a bin's width explains.
    assert f1 == pytest.approx(measure(F1(threshold, average), labels, probabilities), abs=1e-6)
    every = [reference.f1(labels, probabilities, score, average) for score in np.unique(probabilities)]
    assert f1 <= max(every) + 1e-9
    assert max(every) - f1 < (1e-3 if average == "micro" else 0.05)


def test_best_threshold_by_hand():
    # From 0.75 down both labels are found, at 0.25 with a wrong one.
    labels, probabilities = np.array([[1, 0], [1, 0]]), np.array([[0.75, 0.25], [0.875, 0.125]])
    metric = BestThreshold()
    measure(metric, labels, probabilities)
    assert metric.best() == (0.75, 1.0)


def test_histograms_come_close_to_the_exact_result():
    labels, probabilities = random_videos()
    exact = reference.mean_average_precision(labels, probabilities, None)
    assert fed_unevenly(MeanAveragePrecision(capped=False), labels, probabilities) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("spread", [1e-6, 1e-3, 0.02, 0.3, 1.0])
def test_the_exact_result_lies_within_the_bounds_of_any_scores(spread):
    """Scores so close that all of them share a bin, a few bins, or none."""
    widths = []
    for seed in range(20):
        labels, probabilities = random_videos(seed=seed)
        probabilities = (0.4 + spread * (probabilities - 0.4)).astype(np.float32)
        metric = MeanAveragePrecision(capped=False)
        measure(metric, labels, probabilities)
        lowest, highest = metric.bounds()
        widths.append(highest - lowest)
        exact = reference.mean_average_precision(labels, probabilities, None)
        assert lowest - 1e-12 <= exact <= highest + 1e-12
        assert lowest - 1e-6 <= float(metric.result()) <= highest + 1e-6
    # All scores in one bin leave nearly everything open, spread over all bins nearly nothing.
    assert min(widths) > 0.5 if spread < 1e-3 else max(widths) < 1
    assert spread < 1 or max(widths) < 0.03


def test_memory_is_as_the_docstrings_say():
    labels, probabilities = random_videos(videos=50)
    metrics = [GAP(), MeanAveragePrecision(), MeanAveragePrecision(False), BestThreshold()]
    sizes = []
    for metric in metrics:
        measure(metric, labels, probabilities)
        once = metric.nbytes
        metric.update_state(labels, probabilities)
        sizes.append((once, metric.nbytes))
    assert sizes[0] == (50 * 20 * 4, 100 * 20 * 4)
    assert sizes[1] == (50 * 20 * 8, 100 * 20 * 8)
    assert all(once == twice for once, twice in sizes[2:])
    assert sizes[3][0] == 188_418 * 2 * 8
    assert sizes[2][0] / 30 * 4716 == pytest.approx(111e6, rel=0.01)


def a_model(metrics, dtype=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(30, activation="sigmoid", dtype=dtype)(inputs))
    model.compile("sgd", "binary_crossentropy", metrics=metrics, jit_compile=False)
    return model


def all_metrics():
    return [
        GAP(),
        HitAtOne(),
        PERR(),
        MeanAveragePrecision(),
        MeanAveragePrecision(capped=False, name="mean_ap_uncapped"),
        F1(),
        F1(average="macro", name="f1_macro"),
        BestThreshold(),
    ]


def test_in_fit_and_evaluate(tmp_path):
    labels, _ = random_videos()
    features = np.random.default_rng(0).standard_normal((len(labels), 4)).astype(np.float32)
    metrics = all_metrics()
    traced = []
    for metric in metrics:
        update = metric.update_state
        metric.update_state = lambda *args, _update=update, _name=metric.name, **kw: (
            traced.append(_name) if not tf.executing_eagerly() else None,
            _update(*args, **kw),
        )[1]
    model = a_model(metrics)
    # 7 does not divide 60: the last batch is smaller.
    history = model.fit(
        features, labels, epochs=3, batch_size=7, validation_data=(features, labels), shuffle=False, verbose=0
    ).history
    after = model.evaluate(features, labels, batch_size=13, return_dict=True, verbose=0)
    count = len(traced)
    model.evaluate(features, labels, batch_size=13, verbose=0)
    assert len(traced) == count, "evaluated again, nothing is traced again"
    predicted = model.predict(features, verbose=0)
    for metric in all_metrics():
        expected = measure(metric, labels, predicted)
        assert len(history[metric.name]) == 3
        assert history[f"val_{metric.name}"][-1] == pytest.approx(expected, abs=1e-6)
        assert after[metric.name] == pytest.approx(expected, abs=1e-6)


def test_result_on_the_way_is_of_the_videos_so_far():
    labels, probabilities = random_videos()
    metric = GAP()

    @tf.function(jit_compile=False)
    def step(labels, probabilities):
        metric.update_state(labels, probabilities)
        return metric.result()

    shown = [float(step(labels[:10], probabilities[:10]))]
    assert shown[0] == pytest.approx(reference.gap(labels[:10], probabilities[:10]), abs=1e-6)
    shown.append(float(step(labels[10:15], probabilities[10:15])))
    assert shown[1] == shown[0], "not yet twice as many"
    shown.append(float(step(labels[15:25], probabilities[15:25])))
    assert shown[2] == pytest.approx(reference.gap(labels[:25], probabilities[:25]), abs=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    labels, _ = random_videos()
    features = np.random.default_rng(0).standard_normal((len(labels), 4)).astype(np.float32)
    metrics = [GAP(), PERR(), MeanAveragePrecision(capped=False), F1()]
    model = a_model(metrics, dtype=policy)
    found = model.evaluate(features, labels, return_dict=True, verbose=0)
    predicted = model.predict(features, verbose=0).astype(np.float32)
    assert found.keys() > {"gap", "perr", "mean_ap", "f1"}
    for metric in metrics:
        assert found[metric.name] == pytest.approx(measure(metric, labels, predicted), abs=1e-6)


def test_saved_with_the_model(tmp_path):
    labels, _ = random_videos()
    features = np.random.default_rng(0).standard_normal((len(labels), 4)).astype(np.float32)
    model = a_model([GAP(top_k=5), PERR(), F1(0.2)])
    expected = model.evaluate(features, labels, return_dict=True, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.evaluate(features, labels, return_dict=True, verbose=0) == pytest.approx(expected)
    for metric in (*all_metrics(), GAP(top_k=5), MeanAveragePrecision(True, 7), F1(0.2, "macro", "x")):
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
        assert keras.saving.deserialize_keras_object(config).get_config() == metric.get_config()


@pytest.mark.parametrize("wrong", [1.5, -0.1, np.nan])
def test_outputs_that_are_no_probabilities(wrong):
    with pytest.raises(tf.errors.InvalidArgumentError, match="gap: the model's outputs are not probabilities"):
        GAP().update_state(np.ones((1, 2)), np.array([[0.5, wrong]]))


def test_weights_and_unknown_averages():
    for metric in (GAP(), F1()):
        with pytest.raises(ValueError, match="is not defined with sample weights"):
            metric.update_state(np.ones((1, 2)), np.ones((1, 2)), sample_weight=np.ones(1))
    for kind in (F1, BestThreshold):
        with pytest.raises(ValueError, match="neither 'micro' nor 'macro'"):
            kind(average="mini")
