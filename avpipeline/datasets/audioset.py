"""AVE's 28 categories in AudioSet's class names.

AVE's authors chose their categories among AudioSet's classes, so a network that knows these can name AVE's events
without training. A category's score is the highest of its classes: that of its name, and kinds of the same sound
("Bow-wow" beside "Bark", "Meow" of "Cat").
"""

from collections.abc import Sequence

import numpy as np

from avpipeline.errors import InputError

# In alphabetical order.
_CATEGORIES = (
    "Accordion; Acoustic guitar; Baby cry, infant cry; Banjo; Bark; Bus; Cat; Chainsaw; Church bell; Clock; Female "
    "speech, woman speaking; Fixed-wing aircraft, airplane; Flute; Frying (food); Goat; Helicopter; Horse; Male "
    "speech, man speaking; Mandolin; Motorcycle; Race car, auto racing; Rodents, rats, mice; Shofar; Toilet flush; "
    "Train horn; Truck; Ukulele; Violin, fiddle"
)
# Category -> kinds of the same sound; all names are those of YAMNet's list.
_KINDS = {
    "Bark": ("Bow-wow",),
    "Cat": ("Purr", "Meow", "Caterwaul"),
    "Clock": ("Tick-tock",),
    "Horse": ("Neigh, whinny",),
    "Rodents, rats, mice": ("Mouse",),
    "Violin, fiddle": ("Pizzicato",),
}
# YAMNet's list leaves out the classes of a speaker's gender.
_LEFT_OUT = ("Female speech, woman speaking", "Male speech, man speaking")
# Category -> names of AudioSet's classes.
AVE_SOUNDS: dict[str, tuple[str, ...]] = {
    name: () if name in _LEFT_OUT else (name, *_KINDS.get(name, ())) for name in _CATEGORIES.split("; ")
}


def ave_scores(scores: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scores of the AVE categories that have a class, `(seconds, categories)`, and their names.

    Args:
      scores: `(seconds, classes)` of AudioSet's classes, in the order of `class_names`.

    Raises:
      InputError: no name is one of AudioSet's.
    """
    number = {name: index for index, name in enumerate(class_names)}
    known = {category: [number[name] for name in names if name in number] for category, names in AVE_SOUNDS.items()}
    known = {category: numbers for category, numbers in known.items() if numbers}
    if not known:
        raise InputError(f"class names ({', '.join(class_names[:3])}, ...): none is AudioSet's; give AudioSet's names.")
    return np.stack([scores[:, numbers].max(1) for numbers in known.values()], axis=1), tuple(known)
