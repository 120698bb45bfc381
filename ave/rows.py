"""Which of the package's models reproduces which row of the paper's tables."""

from ave.config import PLACES
from ave.fusion import FUSIONS

ROWS = {
    ("Table 1", "A"): "a",
    ("Table 1", "V"): "v",
    ("Table 1", "V-att"): "v_att",
    ("Table 1", "A+V"): "av",
    ("Table 1", "A+V-att"): "av_att",
    ("Table 1", "W-A"): "w_a",
    ("Table 1", "W-V"): "w_v",
    ("Table 1", "W-V-att"): "w_v_att",
    ("Table 1", "W-A+V"): "w_av",
    ("Table 1", "W-A+V-att"): "w_av_att",
    ("Section 6.3", "ED-TCN"): "ed_tcn",
    ("Supplement Table 2", "V-c3d"): "v_c3d",
    ("Supplement Table 2", "V-s+c3d"): "v_s_c3d",
    ("Supplement Table 2", "AV-s"): "av",
    ("Supplement Table 2", "AV-c3d"): "av_c3d",
    ("Supplement Table 2", "AV-s+c3d"): "av_s_c3d",
    ("Supplement Table 3", "A' (VGGish pool features)"): "amap",
    ("Supplement Table 3", "A'-att"): "amap_att",
    ("Supplement Table 3", "A'+V"): "amap_v",
    ("Supplement Table 3", "A'+V-co-att"): "amap_v_co_att",
}
# Table 2's rows are called as the fusion methods are, in other letters: "MP early" is mp_early.
_SHORT = ("mp", "mb", "gmu", "gmb", "mrn", "dmrn")
ROWS |= {
    ("Table 2", f"{fusion.upper() if fusion in _SHORT else fusion.capitalize()} {place}"): f"{fusion}_{place}"
    for place in PLACES
    for fusion in FUSIONS
}
ROWS |= {
    ("Table 2", "Concat late"): "av_att",
    ("Table 2", "DMRN late"): "dmrn",
    ("Table 2", "DMRFE late"): "dmrfe",
}

# Rows that the paper itself gives one system, and why; every other row has a configuration of its own.
SHARED = {
    ("Table 2", "Concat late"): (("Table 1", "A+V-att"), "A+V-att fuses by concatenating the LSTMs' outputs"),
    ("Supplement Table 2", "AV-s"): (("Table 1", "A+V"), "the supplement's new name for A+V"),
}


def rows_of(model: str) -> list[tuple[str, str]]:
    """(table, row) of every figure that `model` reproduces, the first in the paper first."""
    return [place for place, name in ROWS.items() if name == model]
