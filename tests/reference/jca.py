"""JCA once more in plain NumPy: slow, obvious, and independent of Keras.

Weights come as a dict from the Keras weight's path to the array. One video at a time: audio `(time, channels)`, visual
`(time, height, width, channels)`.
"""

import numpy as np

from tests.reference.ave import attention_weights, lstm, relu, sigmoid, softmax


def normalized(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def gru(sequence, weights, prefix, states):
    (hidden,) = states
    outputs = []
    for x in sequence:
        from_x = x @ weights[f"{prefix}/kernel"] + weights[f"{prefix}/bias"]
        from_hidden = hidden @ weights[f"{prefix}/recurrent_kernel"] + weights[f"{prefix}/recurrent_bias"]
        x_reset, x_update, x_new = np.split(from_x, 3)
        h_reset, h_update, h_new = np.split(from_hidden, 3)
        update = sigmoid(x_update + h_update)
        new = np.tanh(x_new + sigmoid(x_reset + h_reset) * h_new)
        hidden = (1 - update) * new + update * hidden
        outputs.append(hidden)
    return np.array(outputs)


CELLS = {"lstm": lstm, "gru": gru}


def stacked(sequence, weights, name, *, num_layers, cell, initial=None):
    """Bidirectional layers on top of each other; `initial` has a row for each layer and direction of each state."""
    kinds = {"lstm": 2, "gru": 1}[cell]
    if initial is None:
        units = len(weights[f"{name}/forward/recurrent_kernel"])
        initial = np.zeros((kinds * 2 * num_layers, units))
    initial = initial.reshape(kinds, num_layers, 2, -1)
    for layer in range(num_layers):
        suffix = f"_{layer}" if layer else ""
        forward = CELLS[cell](sequence, weights, f"{name}/forward{suffix}", initial[:, layer, 0])
        backward = CELLS[cell](sequence[::-1], weights, f"{name}/backward{suffix}", initial[:, layer, 1])
        sequence = np.concatenate([forward, backward[::-1]], -1)
    return sequence


def rerepresentation(x, weights, name, *, num_layers, cell="lstm", residual=True):
    if num_layers:
        initial = weights[f"{name}/initial_states"]
        out = stacked(x, weights, f"{name}/rnn", num_layers=num_layers, cell=cell, initial=initial)
        x = np.concatenate([x, out], -1) if residual else out
    return normalized(dense(x, weights, f"{name}/linear"))


def attended_qkv(x, query, weights, name):
    """The authors' code for one modality: x `(time, d_i)`, query `(time, d)`."""
    key = (x.T @ weights[f"{name}/key/kernel"]) + weights[f"{name}/key/bias"]
    scores = np.tanh(key @ query / np.sqrt(query.shape[1]))
    weighted = relu(np.tanh(dense(x, weights, f"{name}/value") @ scores))
    return x + relu(dense(weighted, weights, f"{name}/out"))


def attended_affinity(x, joint, weights, name):
    """The paper's formulas for one modality."""
    affinity = np.tanh(x.T @ weights[f"{name}/W_j"] @ joint / np.sqrt(joint.shape[1]))
    probabilities = relu(weights[f"{name}/W"] @ x + weights[f"{name}/W_c"] @ affinity.T)
    return x + weights[f"{name}/W_h"].T @ probabilities


def dense_co_attention(video, audio, weights, name, heads):
    """Nguyen & Okatani's layer, one head and one second at a time; the affinity of a pair serves both directions."""
    own = {"video": video, "audio": audio}
    extended = {modality: np.concatenate([x, weights[f"{name}/{modality}_memory"]]) for modality, x in own.items()}
    projected = {modality: x @ weights[f"{name}/{modality}_projection/kernel"] for modality, x in extended.items()}
    size = projected["video"].shape[1] // heads
    updated = {}
    for modality, other in (("video", "audio"), ("audio", "video")):
        rows = []
        for second, x in enumerate(own[modality]):
            attended = 0
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                affinity = projected[other][:, part] @ projected[modality][second, part] / np.sqrt(size)
                attended = attended + softmax(affinity) @ extended[other] / heads
            rows.append(x + relu(dense(np.concatenate([x, attended]), weights, f"{name}/{modality}_out")))
        updated[modality] = np.array(rows)
    return updated["video"], updated["audio"]


def co_attention(video, audio, weights, name, *, form="qkv", attended_by="joint", heads=None):
    if attended_by == "dense":
        return dense_co_attention(video, audio, weights, name, heads)
    if attended_by == "joint":
        joint = np.concatenate([video, audio], -1)
        attending = {"video": joint, "audio": joint}
    else:
        attending = {"video": audio, "audio": video}
    if form == "qkv":
        for modality in attending:
            layer = "query" if attended_by == "joint" else f"query_{modality}"
            attending[modality] = dense(attending[modality], weights, f"{name}/{layer}")
    attended = {"qkv": attended_qkv, "affinity": attended_affinity}[form]
    return (
        attended(video, attending["video"], weights, f"{name}/video"),
        attended(audio, attending["audio"], weights, f"{name}/audio"),
    )


def segment_classifier(weights, config, *, audio, visual):
    """The whole network for one video -> probabilities `(time, classes)`."""
    rnn = {"cell": config.cell, "residual": config.residual_embedding}
    layers = config.num_layers if config.unimodal_rnn else 0
    audio = rerepresentation(normalized(audio), weights, "audio_extract", num_layers=layers, **rnn)
    regions = normalized(visual).reshape(len(visual), -1, visual.shape[-1])
    if config.visual == "attention":
        maps = [attention_weights(second, picture, weights) for second, picture in zip(audio, regions, strict=True)]
        video = np.array([row @ picture for row, picture in zip(maps, regions, strict=True)])
    else:
        video = {"average": np.mean, "max": np.max}[config.visual](regions, axis=1)
    video = dense(video, weights, "affine_feat")
    video = rerepresentation(video, weights, "video_extract", num_layers=layers, **rnn)
    for index in range(config.recursions):
        form, attended_by = config.co_attention, config.attended_by
        video, audio = co_attention(
            video, audio, weights, f"coattn_{index}", form=form, attended_by=attended_by, heads=config.dense_heads
        )
    x = np.concatenate([video, audio], -1)
    layers, rnn["cell"] = config.num_layers if config.joint_rnn else 0, "lstm"
    x = rerepresentation(x, weights, "joint", num_layers=layers, **rnn)
    return softmax(dense(relu(dense(x, weights, "hidden")), weights, "classifier"))
