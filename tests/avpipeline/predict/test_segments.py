"""Labels over time: a model file whose description does not fit its network."""

from types import SimpleNamespace

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features.registry import build_extractor
from avpipeline.predict.segments import Predictor, predict_file
from tests.helpers.wav_files import sine, write_wav


def test_a_file_that_names_other_classes_than_it_scores_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", sine())
    info = SimpleNamespace(class_names=("a",), model="av", statistics={})
    extractors = {"audio": build_extractor("small_audio", "none")}
    predictor = Predictor(lambda inputs: (np.full((10, 3), 1 / 3), {}), info, "m.keras", extractors, window=10)
    with pytest.raises(InputError, match="m.keras: names 1 classes and scores 3; train it again"):
        predict_file(tmp_path / "a.wav", predictor)
