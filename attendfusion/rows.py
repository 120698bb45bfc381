"""Which of the package's models reproduces which row of the paper's tables."""

ROWS = {
    ("Table 1", "FC Audio"): "fc_audio",
    ("Table 1", "FC Visual"): "fc_visual",
    ("Table 1", "FC Early Fusion"): "fc_early",
    ("Table 1", "FC Late Fusion"): "fc_late",
    ("Table 1", "FC Residual Early Fusion"): "fcrn_early",
    ("Table 1", "FC Residual Late Fusion"): "fcrn_late",
    ("Table 1", "FC Residual Gated Early Fusion"): "fcrgn_early",
    ("Table 1", "FC Residual Gated Late Fusion"): "fcrgn_late",
    ("Table 1", "FC Attention"): "fc_attention",
    ("Table 1", "Residual Attention Early Fusion"): "residual_attention_early",
    ("Table 1", "Residual Attention Late Fusion"): "residual_attention_late",
    ("Table 1", "Attend-Fusion"): "attend_fusion",
    ("Table 1", "Audio-Visual Attention Network"): "av_attention",
    ("Table 1", "Self and Cross Modal Attention Network"): "self_cross",
    ("Table 1", "Self-Attended Cross-Modal FCRN Network"): "self_cross_fcrn",
    ("Table 3", "Attend-Fusion audio only"): "attend_fusion_audio",
    ("Table 3", "Attend-Fusion visual only"): "attend_fusion_visual",
    ("Table 3", "Attend-Fusion no attention"): "attend_fusion_no_attention",
}


def row_of(model: str) -> tuple[str, str]:
    """(table, row) that `model` reproduces."""
    return next(place for place, name in ROWS.items() if name == model)
