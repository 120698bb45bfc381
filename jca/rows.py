"""Which model reproduces which row of the paper's tables."""

ROWS = {
    ("Table 1", "AVSDN"): "avsdn",
    ("Table 1", "DAM"): "dam",
    ("Table 1", "JCA"): "jca",
    ("Table 2", "w/o Uni-modal Bi-LSTM"): "no_unimodal_lstm",
    ("Table 2", "w/o Joint Bi-LSTM"): "no_joint_lstm",
    ("Table 2", "w/o Residual Embedding"): "no_residual",
    ("Table 2", "w/ GRU"): "gru",
    ("Table 2", "w/ Average Pooling"): "average_pooling",
    ("Table 2", "w/ Max Pooling"): "max_pooling",
    ("Table 2", "w/ Co-Attention"): "co_attention",
    ("Table 2", "w/ Joint Co-Attention"): "jca",
}
# Baselines that are models of the AVE paper: `ave.MODELS`, trained with that paper's recipe.
AVE_ROWS = {
    ("Table 1", "Audio_Only"): "a",
    ("Table 1", "Visual_Only"): "v",
    ("Table 1", "ED-TCN"): "ed_tcn",
    ("Table 1", "Audio-Visual"): "av",
    ("Table 1", "Full-Audio-Visual"): "av_att",
}

# Rows that the paper itself gives one system, and why; every other row has a configuration of its own.
SHARED = {("Table 2", "w/ Joint Co-Attention"): (("Table 1", "JCA"), "the full model")}

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))


def rows_of(model: str) -> list[tuple[str, str]]:
    """(table, row) of every figure that `model` of this package reproduces, the first in the paper first."""
    return [place for place, name in ROWS.items() if name == model]
