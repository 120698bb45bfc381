"""The event layers' network once more in plain NumPy, one video at a time: slow, obvious, independent of Keras.

Features `(time, channels)` of one video; weights as a dict from the Keras weight's path to the array.
"""

import numpy as np

LAYERS = ("continuous", "instant", "onset", "visual", "audio")


def correlation(visual, audio):
    """S of Eq. 2: one score for each time step."""
    return np.array([sum(v * a for v, a in zip(*pair, strict=True)) for pair in zip(visual, audio, strict=True)])


def time_steps(layer, visual, audio, onsets, k):
    """The set of time steps that a layer pools, as sorted indices."""
    everything = list(range(len(visual)))
    if layer == "instant":
        scores = correlation(visual, audio)
        return sorted(sorted(everything, key=lambda t: (-scores[t], t))[:k])
    if layer == "onset":
        return sorted(set(onsets)) or everything
    return everything


def event_feature(layer, visual, audio, onsets, k):
    """z of one layer: the mean over its time steps of the concatenation, zeros for the modality left out."""
    visual = np.zeros_like(visual) if layer == "audio" else visual
    audio_heard = np.zeros_like(audio) if layer == "visual" else audio
    chosen = time_steps(layer, visual, audio, onsets, k)
    return np.mean([np.concatenate([visual[t], audio_heard[t]]) for t in chosen], axis=0)


def scores(weights, visual, audio, onsets, k, layers=LAYERS):
    """O of one video: `(heads, classes)`."""
    found = []
    for layer in layers:
        z = event_feature(layer, visual, audio, onsets, k)
        found.append(z @ weights[f"head_{layer}/kernel"] + weights[f"head_{layer}/bias"])
    return np.array(found)


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def vote(head_scores):
    """The label of one video, `(heads, classes)` -> class."""
    given = [int(row.argmax()) for row in head_scores]
    counts = {label: given.count(label) for label in given}
    winners = [label for label in counts if counts[label] == max(counts.values())]
    if len(winners) == 1:
        return winners[0]
    return given[int(np.argmax([softmax(row).max() for row in head_scores]))]


def loss(head_scores, label):
    """Eq. 4 for one video: the sum of the heads' cross-entropies."""
    return -sum(float(np.log(softmax(row)[label])) for row in head_scores)
