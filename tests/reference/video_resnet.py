"""The three video networks in plain NumPy, from a torchvision state dict, written from their paper's Table 1."""

import numpy as np

# Convolutions of a stage: kernels and strides (with s for the stage's own) one after the other.
KINDS = {
    "full": [((3, 3, 3), ("s", "s", "s"))],
    "no_time": [((1, 3, 3), (1, "s", "s"))],
    "factored": [((1, 3, 3), (1, "s", "s")), ((3, 1, 1), ("s", 1, 1))],
}
STAGES = {
    "mc3_18": ("full", "no_time", "no_time", "no_time"),
    "r3d_18": ("full",) * 4,
    "r2plus1d_18": ("factored",) * 4,
}


def convolution(x, kernel, strides):
    """`x` (time, height, width, in), `kernel` (out, in, *size) as torch has it; padded by half the size."""
    size = kernel.shape[2:]
    x = np.pad(x, [(length // 2, length // 2) for length in size] + [(0, 0)])
    out = [(length - k) // s + 1 for length, k, s in zip(x.shape[:3], size, strides, strict=True)]
    result = np.zeros((*out, kernel.shape[0]))
    for offset in np.ndindex(size):
        seen = x[tuple(slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offset, out, strides, strict=True))]
        result += seen @ np.ascontiguousarray(kernel[(slice(None), slice(None), *offset)].T)
    return result


def normalized(x, state, name):
    scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    return (x - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]


def relu(x):
    return np.maximum(x, 0)


def spatiotemporal(x, state, name, kind, stride):
    steps = [tuple(stride if step == "s" else step for step in steps) for _, steps in KINDS[kind]]
    if len(steps) == 1:
        return normalized(convolution(x, state[f"{name}.0.weight"], steps[0]), state, f"{name}.1")
    x = relu(normalized(convolution(x, state[f"{name}.0.0.weight"], steps[0]), state, f"{name}.0.1"))
    return normalized(convolution(x, state[f"{name}.0.3.weight"], steps[1]), state, f"{name}.1")


def maps(name, state, clip):
    """The last activation of one clip `(time, height, width, 3)`."""
    x = relu(normalized(convolution(clip, state["stem.0.weight"], (1, 2, 2)), state, "stem.1"))
    if STAGES[name][0] == "factored":
        x = relu(normalized(convolution(x, state["stem.3.weight"], (1, 1, 1)), state, "stem.4"))
    for stage, kind in enumerate(STAGES[name], 1):
        for block in range(2):
            layer, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = relu(spatiotemporal(x, state, f"{layer}.conv1", kind, stride))
            y = spatiotemporal(y, state, f"{layer}.conv2", kind, 1)
            if stride == 2:
                strides = (1 if kind == "no_time" else 2, 2, 2)
                shortcut = convolution(x, state[f"{layer}.downsample.0.weight"], strides)
                x = normalized(shortcut, state, f"{layer}.downsample.1")
            x = relu(y + x)
    return x


def scores(state, activation):
    return activation.mean((0, 1, 2)) @ state["fc.weight"].T + state["fc.bias"]
