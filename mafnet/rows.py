"""Which of the package's models reproduces which row of the paper's tables."""

ROWS = {
    ("Table 1", "Attention Cluster"): "attention_cluster",
    ("Table 1", "DMRN (our feat.)"): "dmrn",
    ("Table 1", "DMRN (their feat.)"): "dmrn_vgg",
    ("Table 1", "MAFnet"): "mafnet",
    ("Table 2", "visual"): "visual",
    ("Table 2", "audio"): "audio",
    ("Table 2", "addition"): "addition",
    ("Table 2", "concatenation"): "concatenation",
    ("Table 2", "MCB"): "mcb",
    ("Table 2", "DMR"): "dmr",
    ("Table 3", "without attention"): "no_attention",
    ("Table 3", "temporal attention"): "temporal",
    ("Table 3", "modality attention"): "modality",
    ("Table 3", "modality & temporal attention"): "concatenation",
    ("Table 4", "residual block without FiLM in both paths"): "residual_both",
    ("Table 4", "FiLM in both paths"): "film_both",
    ("Table 4", "FiLM in audio path"): "mafnet",
    ("Table 4", "FiLM in visual path"): "film_visual",
}
TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))
# Networks trained end to end on video, which the paper quotes to compare with; nothing here reproduces them.
EXTERNAL = "Table 1 (external end-to-end)"

# Rows that the paper itself gives one system, and why; every other row has a configuration of its own.
SHARED = {
    ("Table 3", "modality & temporal attention"): (
        ("Table 2", "concatenation"),
        "Table 2's networks have this attention",
    ),
    ("Table 4", "FiLM in audio path"): (("Table 1", "MAFnet"), "that is where MAFnet has FiLM"),
}

# The published tables' names of the datasets.
DATASET_NAMES = {"ave": "AVE", "ucf51": "UCF51", "kinetics_sounds": "Kinetics-Sounds"}


def rows_of(model: str) -> list[tuple[str, str]]:
    """(table, row) of every figure that `model` reproduces, the first in the paper first."""
    return [place for place, name in ROWS.items() if name == model]
