"""AVE's 28 categories in AudioSet's class names.

AVE's authors chose their categories among AudioSet's classes, so a network that knows these can name AVE's events
without training. A category's score is the highest of its classes: that of its name, and kinds of the same sound
("Bow-wow" beside "Bark", "Meow" of "Cat").
"""

from collections.abc import Sequence

import numpy as np

from avpipeline.errors import InputError

# Category, in alphabetical order -> names of AudioSet's classes in YAMNet's list, which leaves out those of a speaker's
# gender.
AVE_SOUNDS: dict[str, tuple[str, ...]] = {
    "Accordion": ("Accordion",),
    "Acoustic guitar": ("Acoustic guitar",),
    "Baby cry, infant cry": ("Baby cry, infant cry",),
    "Banjo": ("Banjo",),
    "Bark": ("Bark", "Bow-wow"),
    "Bus": ("Bus",),
    "Cat": ("Cat", "Purr", "Meow", "Caterwaul"),
    "Chainsaw": ("Chainsaw",),
    "Church bell": ("Church bell",),
    "Clock": ("Clock", "Tick-tock"),
    "Female speech, woman speaking": (),
    "Fixed-wing aircraft, airplane": ("Fixed-wing aircraft, airplane",),
    "Flute": ("Flute",),
    "Frying (food)": ("Frying (food)",),
    "Goat": ("Goat",),
    "Helicopter": ("Helicopter",),
    "Horse": ("Horse", "Neigh, whinny"),
    "Male speech, man speaking": (),
    "Mandolin": ("Mandolin",),
    "Motorcycle": ("Motorcycle",),
    "Race car, auto racing": ("Race car, auto racing",),
    "Rodents, rats, mice": ("Rodents, rats, mice", "Mouse"),
    "Shofar": ("Shofar",),
    "Toilet flush": ("Toilet flush",),
    "Train horn": ("Train horn",),
    "Truck": ("Truck",),
    "Ukulele": ("Ukulele",),
    "Violin, fiddle": ("Violin, fiddle", "Pizzicato"),
}


def ave_scores(scores: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scores of the AVE categories that have a class, and their names.

    Args:
      scores: `(seconds, classes)` of AudioSet's classes.
      class_names: in the order of the scores.

    Returns:
      `(seconds, categories)`, the names.

    Raises:
      InputError: no name is one of AudioSet's.
    """
    number = {name: index for index, name in enumerate(class_names)}
    known = {category: [number[name] for name in names if name in number] for category, names in AVE_SOUNDS.items()}
    known = {category: numbers for category, numbers in known.items() if numbers}
    if not known:
        raise InputError(f"class names ({', '.join(class_names[:3])}, ...): none is AudioSet's; give AudioSet's names.")
    return np.stack([scores[:, numbers].max(1) for numbers in known.values()], axis=1), tuple(known)
