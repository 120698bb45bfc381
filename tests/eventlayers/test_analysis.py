"""Tables 3 and 4 and Figure 6 on scores small enough to count by hand."""

import numpy as np
import pytest

from avpipeline.datasets.kinetics import SOUNDS_CLASSES
from avpipeline.results import papers
from eventlayers import analysis
from eventlayers.config import LAYERS, NEW_LAYERS, ONLY
from eventlayers.readings import computed, sounds_categories


def scores_of(given, classes=3):
    """`(videos, 5, classes)`: each head gives its label a score of 1."""
    return np.eye(classes)[np.asarray(given)]


def one_hot(labels, classes=3):
    return np.eye(classes)[labels]


# Heads' labels (continuous, instant, onset, visual, audio) of videos that all have label 0.
GIVEN = np.array(
    [
        [0, 1, 2, 0, 0],  # continuous only; the uni-modal heads are not looked at
        [0, 1, 1, 1, 1],  # continuous only
        [1, 0, 1, 0, 0],  # instant only
        [1, 2, 0, 1, 1],  # onset only
        [2, 0, 0, 1, 1],  # instant and onset, not continuous
        [0, 0, 1, 0, 0],  # continuous and instant
        [0, 0, 0, 0, 0],  # all
        [1, 1, 1, 0, 0],  # none of the three
    ]
)
LABELS = one_hot([0] * len(GIVEN))


def test_table_3_by_hand():
    found = analysis.complementary_counts(LABELS, scores_of(GIVEN))
    assert found == {ONLY[0]: 2, ONLY[1]: 1, ONLY[2]: 1, NEW_LAYERS: 3}


def test_table_3_counts_any_of_a_videos_labels_as_right():
    labels = LABELS.copy()
    labels[0, 1] = 1  # now its instant head is right too
    assert analysis.complementary_counts(labels, scores_of(GIVEN))[ONLY[0]] == 1


def test_table_3_by_group_adds_up():
    groups = ["rhythmic", "instant"] * 4
    found = analysis.complementary_by_group(LABELS, scores_of(GIVEN), groups)
    assert list(found) == ["instant", "rhythmic"]
    whole = analysis.complementary_counts(LABELS, scores_of(GIVEN))
    for row, count in whole.items():
        assert sum(group[row] for group in found.values()) == count
    assert [group["videos"] for group in found.values()] == [4, 4]
    # The even videos: continuous, instant only, instant and onset, all.
    assert found["rhythmic"] == {"videos": 4, ONLY[0]: 1, ONLY[1]: 1, ONLY[2]: 0, NEW_LAYERS: 2}


def test_dominant_layer_is_the_one_with_the_highest_score_of_the_label():
    scores = np.zeros((2, 5, 3))
    scores[0, :, 1] = [1, 2, 5, 3, 4]
    scores[0, :, 0] = [9, 0, 0, 0, 0]  # another class's scores do not count
    scores[1, :, 2] = [-1, -2, -3, -4, -0.5]
    labels = one_hot([1, 2])
    np.testing.assert_array_equal(analysis.dominant_layers(labels, scores), [[-1, 2, -1], [-1, -1, 4]])


def test_category_goes_to_the_majority_of_its_videos():
    scores = np.zeros((6, 5, 3))
    labels = one_hot([0, 0, 0, 1, 1, 1])
    for video, layer in enumerate([1, 1, 3, 4, 0, 4]):
        scores[video, layer, labels[video].argmax()] = 1
    # One strong vote does not outweigh two.
    scores[2, 3, 0] = 100
    np.testing.assert_array_equal(analysis.category_layers(labels, scores), [1, 4, -1])
    assert analysis.category_counts(labels, scores) == {
        "Continuous": 0, "Instant": 1, "Onset": 0, "Visual": 0, "Audio": 1
    }  # fmt: skip


def test_category_tie_goes_to_the_higher_mean_score():
    scores = np.zeros((2, 5, 3))
    scores[0, 1, 0], scores[1, 2, 0] = 1, 3
    np.testing.assert_array_equal(analysis.category_layers(one_hot([0, 0]), scores), [2, -1, -1])


def test_category_counts_add_up_to_the_categories_with_videos():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (40, 7))
    labels[:, 3] = 0
    assert sum(analysis.category_counts(labels, rng.normal(size=(40, 5, 7))).values()) == 6


def test_most_activating_videos_are_ranked_within_the_layer_that_dominates_them():
    scores = np.zeros((4, 5, 3))
    for video, (layer, score) in enumerate([(1, 2.0), (1, 5.0), (4, 1.0), (1, 3.0)]):
        scores[video, layer, 0] = score
    scores[:, 0, 2] = 50  # a class that no video has
    found = analysis.most_activating(one_hot([0] * 4), scores, 2)
    assert list(found) == list(LAYERS)
    assert {layer: videos.tolist() for layer, videos in found.items()} == {
        "continuous": [], "instant": [1, 3], "onset": [], "visual": [], "audio": [2]
    }  # fmt: skip


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0]])
def test_tables_do_not_depend_on_the_order_of_videos_or_classes(order):
    rng = np.random.default_rng(2)
    labels, scores = one_hot(rng.integers(0, 3, 30)), rng.normal(size=(30, 5, 3))
    videos = rng.permutation(30)
    for table in (analysis.complementary_counts, analysis.category_counts):
        assert table(labels[videos][:, order], scores[videos][..., order]) == table(labels, scores)


def test_matched_labels_by_hand():
    """Sets {0}, {0, 1} and {0, 1, 2} beside the labels {0}, {0, 2} and {1, 2}: 1 + 1 + 2 of 6 labels match."""
    scores = scores_of([[0] * 5, [0, 1, 0, 1, 0], [0, 1, 2, 2, 2]])
    labels = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1]])
    assert analysis.label_matches(labels, scores) == {
        "Labels a video": 2,
        "Matched labels": pytest.approx(100 * 4 / 6),
        "Matched labels a video": pytest.approx(4 / 3),
    }


def test_published_matches_agree_with_each_other():
    """62 % of 2.21 labels a video are 1.4."""
    row = {one.row: float(one.value) for one in papers.rows("eventlayers", "Section 4.2")}
    assert round(row["Labels a video"] * row["Matched labels"] / 100, 1) == row["Matched labels a video"]


def test_audio_visual_share_by_hand():
    """One video a category, which one layer scores highest; the last category has none."""
    dominant = ["continuous", "visual", "onset", "audio", "instant", None]
    labels = np.eye(6)[:5]
    scores = np.zeros((5, 5, 6))
    for category, layer in enumerate(dominant[:5]):
        scores[category, LAYERS.index(layer), category] = 1
    assert analysis.audio_visual_share(labels, scores) == 60
    assert analysis.audio_visual_share(labels, scores, [0, 1, 5]) == 50


def test_of_kinetics_400_the_categories_of_kinetics_sounds_count():
    """66 % is 21 of its 32 names, and no whole number of 31."""
    names = sorted({*SOUNDS_CLASSES[32], *(f"other {number}" for number in range(368))})
    chosen = sounds_categories(names)
    assert len(names) == 400 and [names[number] for number in chosen] == list(SOUNDS_CLASSES[32])
    assert sounds_categories(("dog", "cat")) is None
    published = papers.lookup("eventlayers", "Section 4.2", "Kinetics-Sounds among the audio-visual categories")
    percentages = {count: {round(100 * part / count) for part in range(count + 1)} for count in (31, 32)}
    assert int(published.value) in percentages[32] - percentages[31]
    labels, scores = np.eye(400), np.zeros((400, 5, 400))
    scores[:, LAYERS.index("visual")] = 1
    for number in chosen[:21]:
        scores[number, LAYERS.index("instant"), number] = 2
    assert round(computed(published, labels, scores, names)) == 66
    assert computed(published, labels, scores) == pytest.approx(100 * 21 / 400)
