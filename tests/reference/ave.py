"""The models written once more in plain NumPy: slow, obvious, and independent of Keras.

Weights come as a dict from the Keras weight's path to the array. One video at a time: audio `(time, channels)`, visual
`(time, height, width, channels)`.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def relu(x):
    return np.maximum(x, 0)


def attention_weights(audio, regions, weights, audio_added_to="regions"):
    """Eq. 3 and 4 of AVE for one second: audio `(channels,)`, regions `(k, channels)` -> `(k,)`."""
    k = len(regions)
    u_v = relu(regions @ weights["attention/affine_video/kernel"] + weights["attention/affine_video/bias"])
    u_a = relu(audio @ weights["attention/affine_audio/kernel"] + weights["attention/affine_audio/bias"])
    from_audio = u_a @ weights["attention/affine_g/kernel"]
    x = u_v @ weights["attention/affine_v/kernel"]
    for region in range(k):
        for component in range(k):
            x[region, component] += from_audio[region if audio_added_to == "regions" else component]
    return softmax((np.tanh(x) @ weights["attention/affine_h/kernel"])[:, 0])


def lstm(sequence, weights, prefix, states=None):
    """One direction: `(time, channels)` -> `(time, units)`, gates in the order input, forget, cell, output.

    Args:
      states: hidden and cell state to begin with, None for zeros.
    """
    units = len(weights[f"{prefix}/recurrent_kernel"])
    hidden, cell = np.zeros((2, units)) if states is None else states
    outputs = []
    for x in sequence:
        gates = x @ weights[f"{prefix}/kernel"] + weights[f"{prefix}/bias"]
        gates = gates + hidden @ weights[f"{prefix}/recurrent_kernel"] + weights[f"{prefix}/recurrent_bias"]
        enter, forget, candidate, leave = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        hidden = sigmoid(leave) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


def bidirectional(sequence, weights, name):
    forward = lstm(sequence, weights, f"{name}/forward")
    backward = lstm(sequence[::-1], weights, f"{name}/backward")[::-1]
    return np.concatenate([forward, backward], -1)


def recurrent(sequence, weights, name):
    """The LSTM that the weights are of: one in both directions, or one forward only."""
    way = bidirectional if f"{name}/forward/kernel" in weights else lstm
    return way(sequence, weights, name)


def segment_classifier(weights, *, audio=None, visual=None, attention="attention", audio_added_to="regions"):
    """AVE's classifier for one video -> probabilities `(time, classes)`.

    Args:
      audio: `(time, channels)`; the branch is there if the weights have it, the attention is guided by it anyway.
      visual: `(time, height, width, channels)`, None without a visual branch.
      attention: "attention" or "mean" over regions.
    """
    branches = []
    if audio is not None and any(path.startswith("lstm_audio/") for path in weights):
        branches.append(recurrent(audio, weights, "lstm_audio"))
    if visual is not None:
        vectors = []
        for second, picture in enumerate(visual):
            regions = picture.reshape(-1, picture.shape[-1])
            if attention == "mean":
                vectors.append(regions.mean(0))
            else:
                vectors.append(attention_weights(audio[second], regions, weights, audio_added_to) @ regions)
        branches.append(recurrent(np.array(vectors), weights, "lstm_video"))
    x = np.concatenate(branches, -1)
    if "L1/kernel" in weights:
        x = relu(relu(x) @ weights["L1/kernel"] + weights["L1/bias"])
    return softmax(x @ weights["L2/kernel"] + weights["L2/bias"])
