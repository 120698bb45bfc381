"""MAFnet written once more in plain NumPy: slow, obvious, and independent of Keras.

Weights come as a dict from the Keras weight's path to the array. One video at a time, in evaluation mode: visual
`(time, channels)` or `(time, height, width, channels)`, audio `(time, height, width, channels)`.
"""

import numpy as np

from tests.reference.ave import relu, softmax

EPSILON = 1e-3


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def norm(x, weights, name):
    """Batch normalization by the population statistics."""
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    return (x - mean) / np.sqrt(variance + EPSILON) * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def convolution(picture, kernel, bias):
    """`(height, width, channels)` with zeros around it, pixel by pixel -> `(height, width, filters)`."""
    height, width, _ = picture.shape
    rows, columns = kernel.shape[:2]
    padded = np.pad(picture, ((rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    result = np.zeros((height, width, kernel.shape[-1]))
    for y in range(height):
        for x in range(width):
            result[y, x] = np.tensordot(padded[y : y + rows, x : x + columns], kernel, 3) + bias
    return result


def residual_block(picture, weights, name, condition=None, scale="one_plus"):
    """Figure 4 for one clip, with FiLM where there is a condition -> `(height, width, filters)`."""
    residual = relu(convolution(picture, weights[f"{name}/conv1/kernel"], weights[f"{name}/conv1/bias"]))
    x = convolution(residual, weights[f"{name}/conv2/kernel"], weights[f"{name}/conv2/bias"])
    x = norm(x, weights, f"{name}/norm")
    if condition is not None:
        gamma, beta = np.split(dense(condition, weights, f"{name}/film/generator"), 2)
        x = (gamma + 1 if scale == "one_plus" else gamma) * x + beta
    return residual + relu(x)


def attention_weights(cells, weights, over, score="hidden"):
    """Eq. 1-2, 4-5 or 8-9: cells `(time, modalities, channels)` -> `(time, modalities)`."""
    z = np.zeros(cells.shape[:2])
    for t, k in np.ndindex(z.shape):
        own = f"_{k}" if f"attention/score_{k}/kernel" in weights else ""
        if score == "hidden":
            hidden = relu(dense(cells[t, k], weights, f"attention/hidden{own}"))
            z[t, k] = dense(hidden, weights, f"attention/score{own}")[0]
        else:
            z[t, k] = relu(dense(cells[t, k], weights, f"attention/score{own}"))[0]
    if over == "temporal":
        return softmax(z.T).T
    if over == "modality":
        return softmax(z)
    return softmax(z.ravel()).reshape(z.shape)


def mafnet(weights, config, visual=None, audio=None, sketches=None):
    """One video -> (class probabilities, attention weights or None); `sketches` as of `compact_bilinear`."""
    raw = {"visual": visual, "audio": audio}
    raw = {name: raw[name].astype("float64") for name in config.modalities}
    means = {name: x if x.ndim == 2 else x.mean((1, 2)) for name, x in raw.items()}
    blocks = {"visual": config.visual_block, "audio": config.audio_block}
    paths = []
    for name in raw:
        x = means[name]
        if blocks[name] != "none":
            maps = raw[name] if raw[name].ndim == 4 else raw[name][:, None, None]
            other = means["audio" if name == "visual" else "visual"]
            conditions = other if blocks[name] == "film" else [None] * len(maps)
            pairs = zip(maps, conditions, strict=True)
            x = np.array(
                [residual_block(a, weights, f"{name}_block", b, config.film_scale).mean((0, 1)) for a, b in pairs]
            )
        paths.append(relu(norm(dense(x, weights, f"{name}_dense"), weights, f"{name}_norm")))
    cells = np.stack(paths, 1)
    attention = None
    if config.attention == "none":
        features = cells.mean(0)
    else:
        attention = attention_weights(cells, weights, config.attention, config.attention_score)
        weighed = attention[..., None] * cells
        features = weighed.mean(0) if config.attention == "modality" else weighed.sum(0)
    if config.fusion == "mcb":
        fused = compact_bilinear(*features, sketches, config.mcb_channels)
        if config.mcb_normalized:
            fused = np.sign(fused) * np.sqrt(np.abs(fused))
            fused = fused / np.linalg.norm(fused)
    else:
        fused = fuse(features, weights, config.fusion)
    scores = dense(fused, weights, "classifier")
    if config.logits_norm:
        scores = norm(scores, weights, "classifier_norm")
    return softmax(scores), attention


def fuse(features, weights, fusion):
    """The modalities' features `(modalities, channels)` -> `(channels,)`."""
    if fusion == "addition":
        return features.sum(0)
    if fusion == "dmr":
        visual, audio = features
        block = "fusion/block_0"
        from_audio = dense(np.tanh(dense(audio, weights, f"{block}/U_a_0")), weights, f"{block}/U_a_2")
        from_visual = dense(np.tanh(dense(visual, weights, f"{block}/U_v_0")), weights, f"{block}/U_v_2")
        fused = (from_audio + from_visual) / 2
        return (np.tanh(audio + fused) + np.tanh(visual + fused)) / 2
    return features.ravel()


def compact_bilinear(visual, audio, sketches, channels):
    """The count sketch of the outer product, term by term; `sketches` are both modalities' places and signs."""
    (v_places, v_signs), (a_places, a_signs) = sketches
    sketch = np.zeros(channels)
    for i, j in np.ndindex(len(visual), len(audio)):
        sketch[(v_places[i] + a_places[j]) % channels] += v_signs[i] * a_signs[j] * visual[i] * audio[j]
    return sketch


def attention_cluster(x, weights, name):
    """Long et al. 2018 for one modality of one video: `(time, channels)` -> `(units * channels,)`."""
    attention = softmax(dense(x, weights, f"{name}/scores").T)
    units = []
    for a, alpha, beta in zip(attention, weights[f"{name}/alpha"], weights[f"{name}/beta"], strict=True):
        shifted = alpha * (a @ x) + beta
        units.append(shifted / (np.sqrt(len(attention)) * np.linalg.norm(shifted)))
    return np.concatenate(units)
