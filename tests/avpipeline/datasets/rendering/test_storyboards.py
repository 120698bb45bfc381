"""The structure of the rendered dataset: events, background, distractors, kinds, and what one modality leaves open."""

import numpy as np
import pytest

from avpipeline.datasets.rendering.storyboards import (
    CATEGORIES,
    CLASS_NAMES,
    CONTINUOUS,
    INSTANT,
    PAIRS,
    RHYTHMIC,
    SPLITS,
    RenderedSettings,
    storyboards,
)
from avpipeline.errors import InputError


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_background_is_rare_and_two_thirds_of_the_events_fill_the_clip(split, seed):
    boards = storyboards(RenderedSettings(seed=seed), split)
    labels = np.stack([board.labels() for board in boards])
    assert labels.shape == (len(boards), 10, 9)
    np.testing.assert_array_equal(labels.sum(-1), 1)
    assert 0.15 <= labels[..., -1].mean() <= 0.25
    assert 0.63 <= np.mean([board.events[0].end - board.events[0].start == 10 for board in boards]) <= 0.70
    assert all(len(board.events) == 1 for board in boards)


def test_every_look_and_every_sound_belongs_to_two_classes_with_different_partners():
    assert len(set(PAIRS)) == len(CATEGORIES) == 8
    assert CLASS_NAMES[:-1] == CATEGORIES and CLASS_NAMES[-1] == "background"
    for own, other in ((0, 1), (1, 0)):
        for index in range(4):
            assert len({pair[other] for pair in PAIRS if pair[own] == index}) == 2


@pytest.mark.parametrize("one", ["look", "sound"])
def test_one_modality_leaves_two_classes_equally_likely(one):
    counts = {}
    for board in storyboards(RenderedSettings(), "train"):
        event = board.events[0]
        counts.setdefault(getattr(event, one), []).append(event.category)
    for categories in counts.values():
        # 128 clips, 8 classes: 16 of each.
        np.testing.assert_array_equal(np.unique(categories, return_counts=True)[1], [16, 16])


def test_kinds_say_nothing_about_the_class_and_have_their_strikes():
    boards = storyboards(RenderedSettings(), "train")
    lengths = {kind: [] for kind in (CONTINUOUS, RHYTHMIC, INSTANT)}
    seen = {kind: set() for kind in lengths}
    for board in boards:
        event = board.events[0]
        lengths[board.kind].append(event.end - event.start)
        seen[board.kind].add(event.category)
        strikes = np.array(event.strikes)
        assert ((strikes >= event.start) & (strikes < event.end)).all()
        if board.kind == RHYTHMIC:
            # A strike in every second, at equal distances.
            assert set(np.floor(strikes)) == set(range(event.start, event.end))
            assert np.ptp(np.diff(strikes)) < 0.003
        else:
            assert len(strikes) == (board.kind == INSTANT)
    assert seen[CONTINUOUS] == seen[RHYTHMIC] == seen[INSTANT] == set(range(8))
    assert max(lengths[INSTANT]) <= 2 < min(lengths[CONTINUOUS] + lengths[RHYTHMIC])


def test_distractors_are_half_an_event_inside_the_background():
    boards = [board for seed in range(3) for board in storyboards(RenderedSettings(seed=seed), "train")]
    kinds = {"look": 0, "sound": 0}
    same = []
    for board in boards:
        labels = board.labels()
        for distractor in board.distractors:
            assert (distractor.look is None) != (distractor.sound is None)
            assert (labels[distractor.start : distractor.end, -1] == 1).all()
            kind = "look" if distractor.sound is None else "sound"
            kinds[kind] += 1
            same.append(getattr(distractor, kind) == getattr(board.events[0], kind))
    # 128 background stretches or so a seed have 80 % distractors, half of each kind, half of the clip's class.
    assert min(kinds.values()) > 50
    assert 0.35 < np.mean(same) < 0.65


def test_a_clip_depends_on_seed_split_and_number_alone():
    few, many = RenderedSettings(train=8), RenderedSettings(train=40)
    assert storyboards(few, "train") == storyboards(many, "train")[:8]
    assert storyboards(RenderedSettings(), "val") != storyboards(RenderedSettings(seed=1), "val")
    seeds = {board.seed for split in SPLITS for board in storyboards(few, split)}
    assert len(seeds) == 8 + 32 + 32


def test_two_events_a_clip_differ_in_class_and_do_not_overlap():
    for board in storyboards(RenderedSettings(events_per_clip=2), "train"):
        first, second = board.events
        assert first.end <= second.start
        assert first.category != second.category
        assert board.labels().any(axis=0)[[first.category, second.category]].all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"seed": -1}, "--seed -1"), ({"val": -1}, "--val -1"), ({"events_per_clip": 3}, "--events-per-clip 3")],
)
def test_settings_that_cannot_be_rendered(wrong, says):
    with pytest.raises(InputError, match=says):
        RenderedSettings(**wrong)
