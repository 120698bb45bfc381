"""YAMNet and EfficientNet-Lite0 in plain NumPy, from their papers' tables, with the files' own arrays."""

import numpy as np


def same(length, kernel, stride):
    """Rows added before and after, and the output's length: TensorFlow's padding "SAME"."""
    out = -(-length // stride)
    added = max((out - 1) * stride + kernel - length, 0)
    return (added // 2, added - added // 2), out


def convolution(x, kernel, stride, *, depthwise=False):
    """`x` (batch, height, width, in); kernel (height, width, in, out), depthwise (height, width, in)."""
    size = kernel.shape[:2]
    (rows, height), (columns, width) = (same(x.shape[1 + axis], size[axis], stride) for axis in (0, 1))
    x = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    result = 0
    for i, j in np.ndindex(size):
        seen = x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        result = result + (seen * kernel[i, j] if depthwise else seen @ kernel[i, j])
    return result


def log_mel(waveform, offset):
    """One second `(16000,)` -> `(96, 64)`: periodic Hann window of 400, hop 160, FFT 512, HTK mel 125 to 7500 Hz."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([waveform[160 * row : 160 * row + 400] for row in range(96)]).astype(np.float64) * window
    spectra = np.abs(np.fft.rfft(frames, 512))

    def mel(frequency):
        return 1127 * np.log(1 + np.asarray(frequency) / 700)

    edges, bins = np.linspace(mel(125), mel(7500), 66), mel(np.linspace(0, 8000, 257))
    low, peak, high = (edges[None, shift : shift + 64] for shift in range(3))
    rising, falling = (bins[:, None] - low) / (peak - low), (high - bins[:, None]) / (high - peak)
    matrix = np.maximum(0, np.minimum(rising, falling))
    matrix[0] = 0
    return np.log(spectra @ matrix + offset)


YAMNET_STRIDES = [2, *(s for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1) for s in (stride, 1))]


def yamnet(patches, arrays, *, quantize=None):
    """Outputs of every layer, the scores last; `arrays` are TFLite's (kernel, bias), without the mel matrix.

    `quantize(x, number)` replaces the input of a layer, to imitate arithmetic of 8 bits.
    """
    quantize = quantize or (lambda x, number: x)
    x, outputs = patches[..., None].astype(np.float64), []
    for number, (stride, (kernel, bias)) in enumerate(zip(YAMNET_STRIDES, arrays[:-1], strict=True)):
        x = quantize(x, number)
        if number % 2:
            x = convolution(x, kernel[0], stride, depthwise=True)
        else:
            x = convolution(x, kernel.transpose(1, 2, 3, 0), stride)
        x = np.maximum(x + bias, 0)
        outputs.append(x)
    outputs.append(x.mean((1, 2)))
    kernel, bias = arrays[-1]
    logits = quantize(outputs[-1], len(arrays) - 1) @ kernel.T + bias
    return [*outputs, 1 / (1 + np.exp(-logits))]


def efficientnet_lite0(frames, state):
    """The last map and the scores of RGB frames from 0 to 255, from the torch state."""
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]

    def normalized(x, name):
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"].astype(np.float64) + 1e-3)
        return (x - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]

    def kernel(name):
        return state[f"{name}.weight"].astype(np.float64).transpose(2, 3, 1, 0)

    def clipped(x):
        return np.clip(x, 0, 6)

    x = clipped(normalized(convolution((frames - 127.0) / 128.0, kernel("_conv_stem"), 2), "_bn0"))
    for number, stride in enumerate(strides):
        name, y = f"_blocks.{number}", x
        if f"{name}._expand_conv.weight" in state:
            y = clipped(normalized(convolution(y, kernel(f"{name}._expand_conv"), 1), f"{name}._bn0"))
        y = convolution(y, kernel(f"{name}._depthwise_conv")[:, :, 0], stride, depthwise=True)
        y = clipped(normalized(y, f"{name}._bn1"))
        y = normalized(convolution(y, kernel(f"{name}._project_conv"), 1), f"{name}._bn2")
        x = x + y if x.shape == y.shape else y
    maps = clipped(normalized(convolution(x, kernel("_conv_head"), 1), "_bn1"))
    logits = maps.mean((1, 2)) @ state["_fc.weight"].T + state["_fc.bias"]
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return maps, exponentials / exponentials.sum(1, keepdims=True)
