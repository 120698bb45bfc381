"""YouTube-8M's record files: read as batches for training, written from any features.

`python -m avpipeline.youtube8m` checks shards, stores standard-deviation features and writes new shards.
"""

from avpipeline.datasets.youtube8m.files import CorruptRecords, count_records, list_shards
from avpipeline.datasets.youtube8m.reading import TOKENS, dataset
from avpipeline.datasets.youtube8m.records import LEVELS, Video

__all__ = ["LEVELS", "TOKENS", "CorruptRecords", "Video", "count_records", "dataset", "list_shards"]
