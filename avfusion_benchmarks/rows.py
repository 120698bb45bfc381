"""The rows of the benchmark.

A row names a function of `(seconds, **arguments)` that returns `{column: number}`. It is named as text and imported
only in the process that measures it, so that the measured memory is that row's own. A new paper needs a line in
`NETWORKS`; anything else a `Row`.
"""

import concurrent.futures
import dataclasses
import importlib
import multiprocessing
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool

from avpipeline.errors import InputError

# Paper -> its models (of `<paper>.MODELS`, which is not imported here for the reason above).
# The other models differ from one of these by a layer of negligible cost.
NETWORKS = {
    "ave": ("a", "v", "v_att", "av", "av_att", "w_av_att", "dmrn", "dmrfe", "ed_tcn", "av_s_c3d", "amap_v_co_att"),
    "mafnet": ("mafnet", "concatenation", "mcb", "attention_cluster", "dmrn_vgg"),
    # The paper's comparison: its own network, the baseline that it matches at a fifth of the size, its largest one.
    "attendfusion": ("attend_fusion", "fc_late", "self_cross_fcrn"),
    "jca": ("jca", "gru", "average_pooling", "co_attention", "avsdn", "dam"),
}
VIDEO_METRICS = (
    "gap",
    "mean-ap",
    "mean-ap-uncapped",
    "best-threshold",
    "best-threshold-macro",
    "f1-macro",
    "hit-at-one",
    "perr",
)
# The event layers' backbones, which take a whole clip of 10 s, and the small ones for the rendered data.
BACKBONES = ("mc3_18", "event_audio_network", "small_event_visual", "small_event_audio")
PAIRS = ("vgg19", "mc3_18")
# Commands that end before anything is computed: help, version, and an unknown option.
STARTS = {"help": "--help", "version": "--version", "mistyped-option": "--epoch5"}
# Rows that are also measured with oneDNN's kernels, and the column that is compared.
ONEDNN = {
    "train/ave/av_att": "ms a batch",
    "train/ave/ed_tcn": "ms a batch",
    "train/attendfusion/attend_fusion": "ms a batch",
    "train/jca/jca": "ms a batch",
    "predict/jca/jca": "ms a batch",
    "predict-clip/event_audio_network": "ms a batch",
    "extract/vggish": "network",
    "extract/vgg19": "network",
}
EXTRACTORS = ("vggish", "vgg19", "densenet201", "small_audio", "small_visual")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      table: heading of its table.
      name: unique in the benchmark.
      measure: `"module:function"`.
      arguments: of that function, besides the seconds to measure for.
    """

    table: str
    name: str
    measure: str
    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)


TRAINING = "Training step, batch 64, published sizes"
INFERENCE = "Inference, batch 64, published sizes"
CLIP_TRAINING = "Training step of a backbone, one clip of 10 s"
CLIP_INFERENCE = "Inference of a backbone, one clip of 10 s"
JOINT_TRAINING = "Joint training step of the event layers and both backbones, two clips of 10 s"
EXTRACTION = "Parts of extraction, as multiples of real time"
RUN = "Complete extraction, decoding in parallel with the networks, as multiples of real time"
INPUT = "Input pipeline alone, batch 64 of AVE's features, files in the page cache"
PLAIN_INPUT = "Epochs of AVE's HDF5 files, batch 64, in turn with plain tf.data (a generator of rows, batch, prefetch)"
RECORDS = "Input pipeline alone, shuffled batches of YouTube-8M's records, files in the page cache"
METRICS = "Metrics of YouTube-8M, 100,000 videos of 4716 classes"
CO_ATTENTION = "Training step of JCA, batch 64, published sizes, compared with a literal implementation"
LONG_FILES = "Seconds of prediction: features of 10 s and of 10 minutes of video"
TORCHVISION = "Convolutional backbones and torchvision's, called in turn"
WITH_ONEDNN = "TensorFlow's own kernels and oneDNN's (TF_ENABLE_ONEDNN_OPTS=1), one after the other"
STARTING = "Start-up of python -m ave.train"
PICTURES = "Pictures of python -m ave.train on the synthetic clips, start-up included"
LOCALIZATION = "Cross-modality localization, AVE's 402 test videos in both directions"

HERE = "avfusion_benchmarks"
ROWS = (
    *(
        Row(table, f"{kind}/{paper}/{model}", f"{HERE}.networks:{function}", {"paper": paper, "model": model})
        for table, kind, function in ((TRAINING, "train", "training_step"), (INFERENCE, "predict", "forward"))
        for paper, models in NETWORKS.items()
        for model in models
    ),
    *(
        Row(table, f"{kind}/{name}", f"{HERE}.backbones:{function}", {"name": name})
        for table, kind, function in (
            (CLIP_TRAINING, "train-clip", "training_step"),
            (CLIP_INFERENCE, "predict-clip", "forward"),
        )
        for name in BACKBONES
    ),
    Row(JOINT_TRAINING, "train-clip/event_layers", f"{HERE}.eventlayers:joint_step"),
    *(Row(EXTRACTION, f"extract/{name}", f"{HERE}.extraction:extractor", {"name": name}) for name in EXTRACTORS),
    Row(RUN, "extract-run/small", f"{HERE}.extraction:whole_run", {"features": "small_audio,small_visual"}),
    Row(INPUT, "input/hdf5", f"{HERE}.pipeline:from_hdf5", {"number_type": "float64"}),
    Row(INPUT, "input/hdf5-float32", f"{HERE}.pipeline:from_hdf5", {"number_type": "float32"}),
    Row(INPUT, "input/shards", f"{HERE}.pipeline:from_shards"),
    Row(PLAIN_INPUT, "input/hdf5-against-plain", f"{HERE}.pipeline:against_plain"),
    *(
        Row(RECORDS, f"input/youtube8m-{level}", f"{HERE}.youtube8m:input_pipeline", {"level": level})
        for level in ("video", "frame")
    ),
    *(Row(METRICS, f"metrics/{name}", f"{HERE}.youtube8m:metric_memory", {"name": name}) for name in VIDEO_METRICS),
    Row(CO_ATTENTION, "co-attention/jca", f"{HERE}.co_attention:training_step"),
    Row(LONG_FILES, "long-file/small", f"{HERE}.long_files:features", {"names": "small_audio,small_visual"}),
    # With the published backbones nearly all time is MC3-18's, which predict-clip/mc3_18 measures.
    Row(LONG_FILES, "long-file/event-small", f"{HERE}.long_files:time_steps", {"backbones": "small"}),
    *(Row(TORCHVISION, f"against-torchvision/{n}", f"{HERE}.torchvision_pairs:pair", {"name": n}) for n in PAIRS),
    # torchvision computes with oneDNN's kernels too.
    Row(TORCHVISION, "against-torchvision/mc3_18-onednn", f"{HERE}.onednn:torchvision_pair", {"name": "mc3_18"}),
    *(
        Row(WITH_ONEDNN, f"onednn/{name}", f"{HERE}.onednn:both_ways", {"name": name, "column": column})
        for name, column in ONEDNN.items()
    ),
    *(Row(STARTING, f"start-up/{name}", f"{HERE}.startup:command", {"word": word}) for name, word in STARTS.items()),
    Row(PICTURES, "pictures/ave-train", f"{HERE}.pictures:share"),
    Row(LOCALIZATION, "localize/avdln", f"{HERE}.localization:evaluation"),
)


def measure(row: Row, seconds: float) -> dict[str, float]:
    """Measures a row in this process, which should measure nothing else: peak memory is the whole process's."""
    module, _, function = row.measure.partition(":")
    columns = getattr(importlib.import_module(module), function)(seconds, **row.arguments)
    from avfusion_benchmarks.measuring import peak_memory

    # A row that compares something with something else reports its own memory.
    own = any(column.endswith("peak MB") for column in columns)
    return columns if own else {**columns, **peak_memory()}


def in_own_process(row: Row, seconds: float) -> dict[str, float]:
    """Measures a row in a fresh process.

    Raises:
      InputError: the process was killed, as the system does when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measure, row, seconds).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"{row.name}: its process was killed, probably for lack of memory; choose other --rows."
            ) from error
