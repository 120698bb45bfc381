"""TensorFlow's own kernels beside oneDNN's, which it leaves off on a processor without AVX-512 VNNI.

TensorFlow reads the variable when it starts: each way is measured in a process of its own.
"""

import dataclasses
import os

from avfusion_benchmarks.rows import ROWS, in_own_process

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def both_ways(seconds: float, *, name: str, column: str) -> dict[str, float]:
    """The number of another row, `name`, in `column`: without oneDNN's kernels, and with them."""
    row = next(each for each in ROWS if each.name == name)
    columns = {}
    for way in ("0", "1"):
        os.environ[VARIABLE] = way
        columns[way] = in_own_process(dataclasses.replace(row, name=f"onednn/{name}"), seconds)
    without, with_them = columns["0"][column], columns["1"][column]
    unit = column if column.startswith("ms") else "times real time"
    return {
        f"without, {unit}": without,
        f"with, {unit}": with_them,
        "with, times as fast": without / with_them if column.startswith("ms") else with_them / without,
        "without, peak MB": columns["0"]["peak MB"],
        "with, peak MB": columns["1"]["peak MB"],
    }


def torchvision_pair(seconds: float, *, name: str) -> dict[str, float]:
    """As `torchvision_pairs.pair`, with oneDNN's kernels."""
    os.environ[VARIABLE] = "1"
    from avfusion_benchmarks.torchvision_pairs import pair

    return pair(seconds, name=name)
