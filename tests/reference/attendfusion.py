"""Attend-Fusion's networks written once more in plain NumPy, one video at a time, each row by hand.

Weights come as a dict from the Keras weight's path to the array. Tokens are `(tokens, channels)`.
"""

import numpy as np

from tests.reference.ave import relu, sigmoid, softmax


class Network:
    """The parts by layer name, on the weights of one model; `model(name, audio, visual)` gives probabilities."""

    def __init__(self, model):
        self.weights = {weight.path: np.asarray(weight, np.float64) for weight in model.weights}

    def dense(self, x, name):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def fc(self, x, name):
        return relu(self.dense(x, f"{name}/dense"))

    def fc_skip(self, x, name):
        return relu(self.dense(x, f"{name}/fc_0/dense")) + x

    def residual(self, x, name):
        """Eq. 1 with two layers in F."""
        return relu(self.dense(relu(self.dense(x, f"{name}/fc_0/dense")), f"{name}/fc_1/dense")) + x

    def gated(self, x, name):
        """Eq. 2 and 3."""
        g = sigmoid(self.dense(x, f"{name}/gate"))
        return g * relu(self.dense(x, f"{name}/mapping/dense")) + (1 - g) * x

    def attention(self, queries, context, name, skip=False):
        """Eq. 4-9, the output layer, the skip and the normalisation."""
        q, k, v = (self.dense(x, f"{name}/{part}") for x, part in
                   ((queries, "query"), (context, "key"), (context, "value")))  # fmt: skip
        attended = softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v
        y = self.dense(attended, f"{name}/output") + (queries if skip else 0)
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
        return y * self.weights[f"{name}/norm/gamma"] + self.weights[f"{name}/norm/beta"]

    def self_attention(self, x, name, skip=True):
        for index in range(3):
            x = self.attention(x, x, f"{name}_{index}", skip)
        return x

    def literal_attention(self, x, name):
        """Eq. 4 and 5 to the letter, twice."""
        for index in range(2):
            q, k, v = (x @ self.weights[f"{name}_{index}/{part}/kernel"] for part in ("query", "key", "value"))
            x = softmax(q @ k.T / np.sqrt(x.shape[-1])) @ v
        return x

    def attention_fc(self, x, name):
        for index in range(3):
            q, k, v = (self.dense(x, f"{name}_{index}/{part}") for part in ("query", "key", "value"))
            x = self.fc(softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v, f"{name}_{index}_fc")
        return x

    def multi_head_attention(self, x, name):
        """A head at a time; kernels are (channels, heads, size), the output's (heads, size, channels)."""
        w = self.weights
        y = w[f"{name}/attention_output/bias"]
        for head in range(w[f"{name}/query/kernel"].shape[1]):
            q, k, v = (x @ w[f"{name}/{part}/kernel"][:, head] + w[f"{name}/{part}/bias"][head]
                       for part in ("query", "key", "value"))  # fmt: skip
            y = y + softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v @ w[f"{name}/attention_output/kernel"][head]
        return y

    def probabilities(self, x):
        return sigmoid(self.dense(x, "classifier"))


def forward(network, row, audio, visual):
    """Probabilities `(classes,)` of the row's network for one video."""
    n = network
    both = np.concatenate([audio, visual], -1)
    one = {"audio": audio, "visual": visual}
    if row in ("fc_audio", "fc_visual"):
        name = row.removeprefix("fc_")
        return n.probabilities(n.fc(n.fc(one[name], f"{name}_0_input"), f"{name}_1_fc").mean(0))
    if row == "fc_early":
        return n.probabilities(n.fc(n.fc(both, "early_0_input"), "early_1_fc").mean(0))
    if row in ("fc_late_averaged", "fcrn_late_averaged"):
        scores = []
        for m, x in one.items():
            x = n.fc(x, f"{m}_0_input")
            x = n.residual(x, f"{m}_1_residual") if "fcrn" in row else n.fc(n.fc(x, f"{m}_1_fc"), f"{m}_2_fc")
            scores.append(n.dense(x.mean(0), f"{m}_classifier"))
        return sigmoid(sum(scores) / 2)
    if row == "fc_late":
        branches = [n.fc(n.fc(n.fc(x, f"{m}_0_input"), f"{m}_1_fc"), f"{m}_2_fc") for m, x in one.items()]
        return n.probabilities(np.concatenate([x.mean(0) for x in branches]))
    if row == "fcrn_early":
        return n.probabilities(n.residual(n.fc(both, "early_0_input"), "early_1_residual").mean(0))
    if row == "fcrn_late":
        branches = [n.residual(n.fc(x, f"{m}_0_input"), f"{m}_1_residual") for m, x in one.items()]
        return n.probabilities(np.concatenate([x.mean(0) for x in branches]))
    if row == "fcrgn_early":
        return n.probabilities(n.gated(n.fc(both, "early_0_input"), "early_1_gated_residual").mean(0))
    if row == "fcrgn_late":
        branches = [n.gated(n.fc(x, f"{m}_0_input"), f"{m}_1_gated_residual") for m, x in one.items()]
        joined = np.concatenate([x.mean(0) for x in branches])
        return n.probabilities(joined) * sigmoid(n.dense(joined, "output_gate"))
    if row == "residual_attention_early":
        x = n.fc(both, "early_0_input")
        x = n.fc_skip(n.self_attention(x, "early_1_add_norm_attention"), "early_2_fc_skip")
        x = n.fc_skip(n.self_attention(x, "early_3_add_norm_attention"), "early_4_fc_skip")
        return n.probabilities(n.fc_skip(n.fc_skip(x.mean(0), "head_0_fc_skip"), "head_1_fc_skip"))
    if row in ("fc_attention", "residual_attention_late"):
        fc, kind = (n.fc, "fc") if row == "fc_attention" else (n.fc_skip, "fc_skip")
        branches = [fc(_attended(n, m, x), f"{m}_2_{kind}").mean(0) for m, x in one.items()]
        x = fc(n.fc(np.concatenate(branches), "head_0_input"), f"head_1_{kind}")
        return n.probabilities(x)
    if row == "attend_fusion":
        return n.probabilities(np.concatenate([_attended(n, m, x).mean(0) for m, x in one.items()]))
    if row in _DESIGNS:
        hidden = {m: n.fc(x, f"{m}_0_input") for m, x in one.items()}
        return n.probabilities(np.concatenate([_DESIGNS[row](n, m, x).mean(0) for m, x in hidden.items()]))
    if row == "attend_fusion_no_attention":
        return n.probabilities(np.concatenate([n.fc(x, f"{m}_0_input").mean(0) for m, x in one.items()]))
    if row in ("attend_fusion_audio", "attend_fusion_visual"):
        name = row.removeprefix("attend_fusion_")
        return n.probabilities(_attended(n, name, one[name]).mean(0))
    return _cross_modal(n, row, one)


# Attend-Fusion with another branch: row -> function of network, modality and what its input layer gives.
_DESIGNS = {
    "attend_fusion_skipless": lambda n, m, x: n.self_attention(x, f"{m}_1_self_attention", skip=False),
    "attend_fusion_literal": lambda n, m, x: n.literal_attention(x, f"{m}_1_literal_attention"),
    "attend_fusion_attention_fc": lambda n, m, x: n.attention_fc(x, f"{m}_1_attention_fc"),
    "attend_fusion_multi_head": lambda n, m, x: n.fc(
        n.fc(n.multi_head_attention(x, f"{m}_1_multi_head_attention"), f"{m}_2_fc"), f"{m}_3_fc"
    ),
}


def _attended(n, modality, x):
    """in-W, three attentions."""
    return n.self_attention(n.fc(x, f"{modality}_0_input"), f"{modality}_1_add_norm_attention")


def _cross_modal(n, row, one):
    """The three rows with cross-modal attention."""
    fc, kind = (n.fc_skip, "fc_skip") if row == "self_cross_fcrn" else (n.fc, "fc")
    x_a, x_v = (fc(_attended(n, m, one[m]), f"{m}_2_{kind}") for m in ("audio", "visual"))
    crossed = []
    for name, asks, answers in (("visual_given_audio", x_a, x_v), ("audio_given_visual", x_v, x_a)):
        y = fc(n.attention(asks, answers, f"{name}_attention"), f"{name}_0_{kind}")
        if row != "av_attention":
            y = fc(n.self_attention(y, f"{name}_1_add_norm_attention"), f"{name}_2_{kind}")
        crossed.append(y)
    joined = np.concatenate([x.mean(0) for x in (x_a, x_v, *crossed)])
    return n.probabilities(n.fc(joined, "head_0_input"))
