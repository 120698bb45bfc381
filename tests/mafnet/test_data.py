"""What MAFnet's models read of each dataset: vectors or maps, of which files, and what does not fit."""

import dataclasses

import numpy as np
import pytest

import mafnet
from avpipeline.datasets import read_video_list
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.registry import build_extractor
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import Manifest, write_manifest
from mafnet import data
from tests.helpers.ave_files import write_ave_folder
from tests.helpers.mafnet_data import write_pickles
from tests.helpers.video_files import write_ucf51


def read(split, modality):
    return split.inputs[modality].read(np.arange(len(split)))


def test_rendered_maps_are_averaged_for_models_of_vectors(few_clips):
    maps = data.load_split("rendered", "test", mafnet.model_config("mafnet", "paper"))
    vectors = data.load_split("rendered", "test", mafnet.model_config("mafnet"))
    assert read(maps, "visual").shape == (4, 10, 7, 7, 512) and maps.features["visual"].label == "small_visual:pool5"
    np.testing.assert_allclose(read(vectors, "visual"), read(maps, "visual").mean((2, 3)), rtol=1e-5)
    assert read(vectors, "audio").shape == (4, 10, 6, 4, 512)
    # The extractor that prediction builds from this makes the same features.
    assert vectors.features["visual"] == build_extractor("small_visual:avg_pool").info
    assert vectors.features["audio"] == build_extractor("small_audio_map").info
    assert vectors.labels.shape == (4, 8) and (vectors.labels.sum(-1) == 1).all()


def test_dmrn_has_features_of_its_own(few_clips):
    split = data.load_split("rendered", "val", mafnet.model_config("dmrn_vgg"))
    assert read(split, "visual").shape == (4, 10, 7, 7, 512) and read(split, "audio").shape == (4, 10, 128)


def test_a_model_of_one_modality_reads_only_that(few_clips):
    assert list(data.load_split("rendered", "val", mafnet.model_config("audio")).inputs) == ["audio"]
    assert list(data.load_split("rendered", "val", mafnet.model_config("visual")).inputs) == ["visual"]


def test_a_network_takes_over_the_dataset_s_sizes(few_clips):
    network = mafnet.model_config("mafnet")
    fitted = data.fitted(network, data.load_split("rendered", "val", network))
    assert (fitted.num_classes, fitted.num_segments) == (8, 10)
    assert (fitted.visual_shape, fitted.audio_shape) == ((512,), (6, 4, 512))
    assert dataclasses.replace(fitted, num_classes=28, visual_shape=(1920,), audio_shape=(12, 8, 512)) == network


def test_ave_s_pickles_serve_the_models_that_they_fit(tmp_path):
    """Beside AVE's own files: MAFnet reads the pickles, DMRN (their feat.) the HDF5 files."""
    folder = write_ave_folder(tmp_path / "ave")
    (folder / "Annotations.txt").rename(tmp_path / "Annotations.txt")
    write_pickles(folder)
    split = data.load_split("ave", "test", mafnet.model_config("mafnet"), folder)
    assert split.features["visual"].label == "densenet201:avg_pool" and len(split.class_names) == 28
    (tmp_path / "Annotations.txt").rename(folder / "Annotations.txt")
    split = data.load_split("ave", "test", mafnet.model_config("dmrn_vgg"), folder)
    assert split.features["visual"].label == "vgg19:pool5" and split.class_names == ("Bark", "Cat", "Violin, fiddle")


def test_other_features_are_one_sentence(tmp_path):
    folder = write_ave_folder(tmp_path / "ave")
    with pytest.raises(InputError, match=r"features are vgg19:pool5 \(7, 7, 512\), but the model needs a vector"):
        data.load_split("ave", "test", mafnet.model_config("mafnet"), folder)
    with pytest.raises(InputError, match=r"are vggish:embedding_relu \(128,\), but the model needs maps such"):
        data.load_split("ave", "test", mafnet.model_config("audio"), folder)


@pytest.mark.parametrize(
    ("dataset", "wanted", "asked"),
    [
        ("ucf51", {"fold": 3}, "trainlist03.txt"),
        ("kinetics_sounds", {"classes": 31}, "ks_my_train.txt"),
    ],
)
def test_lists_are_named_options(tmp_path, dataset, wanted, asked):
    write_ucf51(tmp_path)
    with pytest.raises(InputError, match=f"{asked}: no such file"):
        data.load_split(dataset, "train", mafnet.model_config("mafnet"), tmp_path, **wanted)


def test_rendered_data_has_no_folder(tmp_path):
    with pytest.raises(InputError, match="synthetic clips are generated on this machine; leave out --data"):
        data.load_split("rendered", "test", mafnet.model_config("mafnet"), tmp_path)


def test_real_data_needs_its_folder():
    for dataset in ("ave", "ucf51", "kinetics_sounds"):
        with pytest.raises(InputError, match="needs the folder of its files"):
            data.load_split(dataset, "train", mafnet.model_config("mafnet"))


@pytest.mark.parametrize(
    ("dataset", "where", "place", "files"),
    [
        ("ucf51", {"fold": 2}, "ucf51-2", ("classInd.txt", "trainlist02.txt", "testlist02.txt")),
        ("kinetics_sounds", {"classes": 31}, "kinetics_sounds-31", ("ks_my_train.txt", "ks_my_test.txt")),
    ],
)
def test_real_lists_are_joined_with_extracted_features(reference_dir, tmp_path, dataset, where, place, files):
    """The official lists, and features of three of the test videos, the second of which ends after 4 s."""
    for file in files:
        (tmp_path / file).symlink_to(reference_dir / "data" / dataset.partition("_")[0] / file)
    videos = read_video_list(place, "test", tmp_path).select([5, 0, 9])
    features = {
        "audio": FeatureInfo("vggish", "conv4_2", "none", "e" * 64, (2, 2, 3)),
        "visual": FeatureInfo("densenet201", "last_activation", "none", "f" * 64, (2, 2, 4)),
    }
    manifest = Manifest(features, 10, videos.ids, complete=True)
    write_manifest(tmp_path, manifest)
    with ShardWriter(tmp_path, manifest.shapes, 4) as writer:
        for row, video in enumerate(videos.ids):
            record = ClipRecord(video, f"{video}.mp4", 1, True, True, *[4.0 if row == 1 else 10.0] * 2)
            writer.add(record, {name: np.full(shape, row + 1, np.float32) for name, shape in manifest.shapes.items()})
    with pytest.warns(UserWarning, match="they are left out"):
        split = data.load_split(dataset, "test", mafnet.model_config("mafnet"), tmp_path, **where)
    # In the order of the list.
    assert split.ids == (videos.ids[1], videos.ids[0], videos.ids[2]) and split.dataset == place
    np.testing.assert_array_equal(split.labels, videos.labels[[1, 0, 2]])
    assert split.features["visual"].label == "densenet201:avg_pool"
    for modality in ("visual", "audio"):
        values = read(split, modality)
        assert (values[0, :4] == 2).all() and not values[0, 4:].any() and (values[1] == 1).all()
