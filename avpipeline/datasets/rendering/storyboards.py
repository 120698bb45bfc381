"""What happens in each clip of the rendered dataset, before a pixel or a sample of it is made.

The structure is AVE's: an event is a stretch of whole seconds in which an object is visible AND its sound is audible;
every other second is background. Four looks and four sounds make eight classes, with each look and each sound in two
of them: from one modality alone, a model can at best choose between two classes. Background may contain distractors:
an object without its sound, or a sound without its object.

The difficulty (variation, noise, distractors, share of background) was fixed before any model was trained on the data
and is never tuned to a model: change it only together with GENERATOR_VERSION, for a reason that has nothing to do with
a score.
"""

import dataclasses
from collections.abc import Iterator
from itertools import repeat
from typing import Literal

import numpy as np

from avpipeline.cli import Checked, Natural, Seed
from avpipeline.datasets.base import SPLITS, require_split

GENERATOR_VERSION = 1
SECONDS = 10

LOOKS = ("striped disc", "chequered square", "ringed triangle", "dotted cross")
SOUNDS = ("hum", "bell", "hiss", "chirp")
# Look i goes with sound i or the next one; in label order.
PAIRS = tuple((look, sound % len(SOUNDS)) for look in range(len(LOOKS)) for sound in (look, look + 1))
CATEGORIES = tuple(f"{LOOKS[look]} with {SOUNDS[sound]}" for look, sound in PAIRS)
BACKGROUND = "background"
CLASS_NAMES = (*CATEGORIES, BACKGROUND)

CONTINUOUS, RHYTHMIC, INSTANT = "continuous", "rhythmic", "instant"

# Two thirds of the events fill the clip. The lengths of the others, in seconds, are dealt like cards, not drawn
# independently, so that the share of background is the same in every split: 22.5 %, and at most 25 % in any split of
# 30 clips or more.
_FULL, _PART, _SHORT = "full", "part", "short"
_PART_LENGTHS = (3, 4, 5, 6, 7)
_SHORT_LENGTHS = (1, 2)
# What happens in a stretch of background: an object alone, a sound alone, nothing.
_DISTRACTORS = ("look", "sound", None)
_DISTRACTOR_SHARES = (0.4, 0.4, 0.2)
# How often a distractor is the clip's own object or sound instead of another class's.
_SAME_CLASS_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class RenderedSettings(Checked):
    """What to render. Seed, split and number of a clip determine it completely."""

    seed: Seed = 0
    """Seed of all clips; another seed gives unseen clips of the same classes."""
    train: Natural = 128
    """Number of training clips."""
    val: Natural = 32
    """Number of validation clips."""
    test: Natural = 32
    """Number of test clips."""
    events_per_clip: Literal[1, 2] = 1
    """1 as in AVE, or 2: two consecutive events of different classes (multi-label clips)."""

    def count(self, split: str) -> int:
        """Number of clips of a split; raises InputError for an unknown name."""
        require_split("rendered", split)
        return getattr(self, split)


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Whole seconds `[start, end)` in which an object is visible, a sound is audible, or both.

    Attributes:
      look: index into LOOKS, None if nothing is visible.
      sound: index into SOUNDS, None if nothing is audible.
      strikes: times at which the object strikes (and sounds), in seconds of the clip; empty if motion and sound are
        continuous.
    """

    start: int
    end: int
    look: int | None
    sound: int | None
    strikes: tuple[float, ...]

    @property
    def category(self) -> int | None:
        """Label of the event, None for a distractor."""
        return None if self.look is None or self.sound is None else PAIRS.index((self.look, self.sound))


@dataclasses.dataclass(frozen=True)
class Storyboard:
    """One clip: its events and distractors in chronological order.

    Attributes:
      id: 11 characters, like a YouTube id.
      kind: "continuous", "rhythmic" (repeated strikes) or "instant" (one strike, a short event). Every class occurs in
        all three kinds: the kind says nothing about the class.
      seed: of its generators; each stream of random numbers appends words of its own.
    """

    id: str
    split: str
    kind: str
    seed: tuple[int, ...]
    stretches: tuple[Stretch, ...]

    @property
    def events(self) -> tuple[Stretch, ...]:
        return tuple(stretch for stretch in self.stretches if stretch.category is not None)

    @property
    def distractors(self) -> tuple[Stretch, ...]:
        return tuple(stretch for stretch in self.stretches if stretch.category is None)

    def labels(self) -> np.ndarray:
        """One-hot `(seconds, classes)` float32; background last."""
        classes = np.full(SECONDS, len(CATEGORIES))
        for event in self.events:
            classes[event.start : event.end] = event.category
        return np.eye(len(CLASS_NAMES), dtype=np.float32)[classes]

    def generator(self, *words: int) -> np.random.Generator:
        """A separate stream of random numbers for each purpose."""
        return np.random.default_rng([*self.seed, *words])

    def to_json(self) -> dict:
        """All details by name, for the annotation file."""

        def described(stretch: Stretch) -> dict:
            return {
                "start": stretch.start,
                "end": stretch.end,
                "category": BACKGROUND if stretch.category is None else CATEGORIES[stretch.category],
                "object": None if stretch.look is None else LOOKS[stretch.look],
                "sound": None if stretch.sound is None else SOUNDS[stretch.sound],
                "strikes": list(stretch.strikes),
            }

        return {
            "id": self.id,
            "split": self.split,
            "kind": self.kind,
            "events": [described(event) for event in self.events],
            "distractors": [described(distractor) for distractor in self.distractors],
        }


def storyboards(settings: RenderedSettings, split: str) -> tuple[Storyboard, ...]:
    """The clips of one split; the first n are the same however many there are. InputError if there is no such split."""
    count = settings.count(split)
    seed = (settings.seed, settings.events_per_clip, SPLITS.index(split))
    deals = np.random.default_rng([*seed, 0])
    categories, forms = _deal(deals, range(len(PAIRS))), _forms(deals)
    lengths = {_FULL: repeat(SECONDS), _PART: _deal(deals, _PART_LENGTHS), _SHORT: _deal(deals, _SHORT_LENGTHS)}
    lasting = _deal(deals, (CONTINUOUS, RHYTHMIC))
    boards = []
    for index in range(count):
        form = next(forms)
        length = next(lengths[form])
        kind = INSTANT if form == _SHORT else next(lasting)
        name = f"{split}_{index:0{10 - len(split)}d}"
        boards.append(_board(name, split, (*seed, 1, index), kind, length, next(categories), settings))
    return tuple(boards)


def _deal(rng: np.random.Generator, cards) -> Iterator:
    """Deals the cards from a deck that is shuffled again whenever it is used up: each comes equally often."""
    (own,) = rng.spawn(1)
    while True:
        for index in own.permutation(len(cards)):
            yield cards[index]


def _forms(rng: np.random.Generator) -> Iterator[str]:
    """Two thirds of the forms are full; every six begin with two full ones, so that any number of clips has enough."""
    rest = _deal(rng, (_FULL, _FULL, _PART, _SHORT))
    while True:
        yield _FULL
        yield _FULL
        for _ in range(4):
            yield next(rest)


def _board(name, split, seed, kind, length, category, settings) -> Storyboard:
    rng = np.random.default_rng([*seed, 0])
    categories, spans = [category], [(0, SECONDS)]
    if settings.events_per_clip == 2:
        other = (category + rng.integers(1, len(PAIRS))) % len(PAIRS)
        cut = int(rng.integers(3, 8))
        categories, spans = [category, int(other)], [(0, cut), (cut, SECONDS)]
    rhythm = rng.uniform(0.25, 0.6), rng.uniform()

    def stretch(start: int, end: int, look: int | None, sound: int | None) -> Stretch:
        return Stretch(start, end, look, sound, _strikes(kind, start, end, rhythm))

    stretches = []
    for category, (first, last) in zip(categories, spans, strict=True):
        lasts = max(1, round(length * (last - first) / SECONDS))
        start = int(rng.integers(first, last - lasts + 1))
        event = stretch(start, start + lasts, *PAIRS[category])
        for gap in ((first, event.start), (event.end, last)):
            found = _distractor(rng, gap, PAIRS[category], 2 if kind == INSTANT else SECONDS)
            if found:
                stretches.append(stretch(*found))
        stretches.append(event)
    stretches.sort(key=lambda item: item.start)
    return Storyboard(name, split, kind, tuple(seed), tuple(stretches))


def _distractor(rng: np.random.Generator, gap: tuple[int, int], pair: tuple[int, int], longest: int):
    """(start, end, look, sound) of an object alone or a sound alone in this stretch of background, or None."""
    first, last = gap
    what = rng.choice(np.array(_DISTRACTORS, dtype=object), p=_DISTRACTOR_SHARES)
    if what is None or first == last:
        return None
    lasts = int(rng.integers(1, min(last - first, longest) + 1))
    start = int(rng.integers(first, last - lasts + 1))
    own = pair[_DISTRACTORS.index(what)]
    if rng.uniform() >= _SAME_CLASS_SHARE:
        own = int((own + rng.integers(1, len(LOOKS))) % len(LOOKS))
    return (start, start + lasts, own, None) if what == "look" else (start, start + lasts, None, own)


def _strikes(kind: str, start: int, end: int, rhythm: tuple[float, float]) -> tuple[float, ...]:
    """Times of the strikes in seconds: on one rhythm for the whole clip, or once, early in an instant event."""
    period, phase = rhythm
    if kind == CONTINUOUS:
        return ()
    if kind == INSTANT:
        return (round(start + 0.05 + 0.25 * phase, 3),)
    times = np.arange(0, SECONDS / period + 1) * period + (phase - 1) * period
    return tuple(round(float(time), 3) for time in times if start <= time < end - 0.1)
