"""Tiny folders in the layout of AVE's official files."""

import h5py
import numpy as np

# Three categories, in an order that is not alphabetical; v2 is there twice, the row 4 has no foreground.
LINES = (
    "Violin, fiddle&v0&good&0&10",
    "Bark&v1&good&2&5",
    "Violin, fiddle&v2&good&0&4",
    "Cat&v2&good&1&3",
    "Bark&v3&good&0&0",
    "Cat&v4&good&9&10",
)
CLASS_NAMES = ("Violin, fiddle", "Bark", "Cat", "background")
ORDERS = {"train": (4, 0, 2), "val": (3,), "test": (5, 1)}


def write_h5(path, array, key="avadataset"):
    with h5py.File(path, "w") as file:
        file[key] = array


def replace_h5(name, array, key="avadataset"):
    """A function of a folder that writes one of its files anew."""
    return lambda folder: write_h5(folder / name, array, key)


def audio_rows(count):
    """Float64 as the published files; row r begins with r."""
    rows = np.random.default_rng(0).random((count, 10, 128))
    rows[:, 0, 0] = np.arange(count)
    return rows


def write_ave_folder(folder, *, orders=True, lists=True, features=("audio", "visual")):
    """Writes Annotations.txt, the splits and features of `LINES`; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "Annotations.txt").write_text("\n".join(LINES) + "\n")
    for split, rows in ORDERS.items():
        if orders:
            write_h5(folder / f"{split}_order.h5", np.array(rows), "order")
        if lists:
            (folder / f"{split}Set.txt").write_text("\n".join(LINES[row] for row in rows) + "\n")
    if "audio" in features:
        write_h5(folder / "audio_feature.h5", audio_rows(len(LINES)))
    if "visual" in features:
        # Zeros take no place in a chunked file; row r begins with r.
        with h5py.File(folder / "visual_feature.h5", "w") as file:
            visual = file.create_dataset(
                "avadataset", (len(LINES), 10, 7, 7, 512), np.float32, chunks=(1, 1, 7, 7, 512)
            )
            for row in range(len(LINES)):
                visual[row, 0, 0, 0, 0] = row
    return folder
