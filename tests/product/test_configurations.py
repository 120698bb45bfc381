"""The configuration behind every published result: its hash names runs that users have, so it never changes unseen.

`configurations.json` holds, for every row of the papers' tables under each preset, the model and the hash of its
configuration on the synthetic clips, as released versions computed them.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import attendfusion.train
import ave.train
import eventlayers.train
import jca.train
import mafnet.train
from ave.match.config import ROWS as MATCH_ROWS
from ave.match.pairs import CLASS_NAMES
from ave.match.train import PAPER as MATCH
from ave.per_class import MODELS as PER_CLASS_MODELS
from ave.per_class import PER_CLASS
from ave.tables import STARTS_FROM
from avpipeline.datasets.base import ArraySource, Split, Stream
from avpipeline.datasets.rendering.storyboards import CATEGORIES
from avpipeline.features.info import FeatureInfo
from avpipeline.files import write_json
from avpipeline.results import papers
from eventlayers.config import STANDS_FOR
from eventlayers.readings import model_of

RECORDED = json.loads((Path(__file__).parent / "configurations.json").read_text(encoding="utf-8"))
SEGMENTS = (*CATEGORIES, "background")


def features(paper, names):
    """What the synthetic clips' features are; their networks are not built for this."""
    return {name: FeatureInfo.from_json(RECORDED["features"][paper][name]) for name in names}


def split(name, classes, infos, steps, labels):
    """One clip with features of zeros."""
    inputs = {modality: ArraySource(np.zeros((1, *steps, *info.shape), "f4")) for modality, info in infos.items()}
    return Split("rendered", name, ("clip",), classes, inputs, np.zeros((1, *labels, len(classes)), "f4"), infos)


def splits(classes, infos, steps=(10,), labels=()):
    return {name: split(name, classes, infos, steps, labels) for name in ("train", "val", "test")}


def hash_of(settings, paper, given):
    experiment = paper.experiment(settings, given)
    return experiment.hash, experiment


def segment_hash(paper, model, preset, tmp_path, **where):
    settings = paper.settings_for(model, preset, "rendered", **where)
    modalities = getattr(settings.network, "modalities", ("audio", "visual"))
    given = splits(SEGMENTS, features("segments", modalities), labels=(10,))
    if getattr(settings.network, "weak", False):
        given["train"] = splits(SEGMENTS, features("segments", modalities))["train"]
    return hash_of(settings, paper, given)


def ave_hash(published, preset, tmp_path):
    place = (published.table, published.row)
    if place in MATCH_ROWS:
        model, _ = MATCH_ROWS[place]
        infos = features("match", ("audio", "visual"))
        inputs = {name: ArraySource(np.zeros((1, 10, info.shape[-1]), "f4")) for name, info in infos.items()}
        event = np.r_[np.ones(4), np.zeros(6)].astype("f4")[None]
        given = {
            name: Split("rendered", name, ("clip",), CLASS_NAMES, inputs, event, infos)
            for name in ("train", "val", "test")
        }
        return model, hash_of(MATCH.settings_for(model, preset, "rendered"), MATCH, given)[0]
    model = ave.train.PAPER.config.ROWS[place]
    where = {}
    if model in STARTS_FROM:
        _, first = segment_hash(ave.train.PAPER, STARTS_FROM[model], preset, tmp_path)
        write_json(tmp_path / "settings.json", first.settings)
        where["init_from"] = tmp_path
    return model, segment_hash(ave.train.PAPER, model, preset, tmp_path, **where)[0]


def jca_hash(published, preset, tmp_path):
    place = (published.table, published.row)
    config = jca.train.PAPER.config
    paper = ave.train.PAPER if place in config.AVE_ROWS else jca.train.PAPER
    model = {**config.ROWS, **config.AVE_ROWS}[place]
    return model, segment_hash(paper, model, preset, tmp_path)[0]


def mafnet_hash(published, preset, tmp_path):
    model = mafnet.train.PAPER.config.ROWS[published.table, published.row]
    settings = mafnet.train.PAPER.settings_for(model, preset, "rendered")
    shapes = {"visual": settings.network.visual_shape, "audio": settings.network.audio_shape}
    infos = features("mafnet", [f"{name}_{len(shapes[name])}" for name in settings.network.modalities])
    infos = {name.partition("_")[0]: info for name, info in infos.items()}
    return model, hash_of(settings, mafnet.train.PAPER, splits(CATEGORIES, infos))[0]


def attendfusion_hash(published, preset, tmp_path):
    model = attendfusion.train.PAPER.config.ROWS[published.table, published.row]
    settings = attendfusion.train.PAPER.settings_for(model, preset, "rendered")
    modalities = settings.network.modalities
    infos = features("attendfusion", modalities)

    def stream(name):
        return Stream("rendered", name, tuple(map(str, range(RECORDED["labels"]))), infos, 1, None)

    scale = {name: RECORDED["scale"][name] for name in modalities}
    given = SimpleNamespace(stream=stream, scale=scale, tokens="mean_std")
    return model, hash_of(settings, attendfusion.train.PAPER, given)[0]


def eventlayers_hash(published, preset, tmp_path):
    model = model_of(published)
    dataset = next(name for name, stands_for in STANDS_FOR.items() if published.dataset in stands_for)
    settings = eventlayers.train.PAPER.settings_for(model, preset, dataset)
    infos = features("eventlayers", settings.network.modalities)
    given = splits(CATEGORIES, infos, steps=(100,))
    return model, hash_of(settings, eventlayers.train.PAPER, given)[0]


HASHES = {
    "ave": ave_hash,
    "mafnet": mafnet_hash,
    "jca": jca_hash,
    "attendfusion": attendfusion_hash,
    "eventlayers": eventlayers_hash,
}


def test_every_published_result_has_its_configuration():
    recorded = {tuple(key.split("|")[::2][0:1]) + tuple(key.split("|")[2:]) for key in RECORDED["configurations"]}
    printed = {(one.paper, one.table, one.row, one.dataset) for paper in HASHES for one in papers.rows(paper)}
    assert recorded == printed and len(printed) == 201


@pytest.mark.parametrize("paper", HASHES)
def test_configurations_are_those_of_earlier_versions(paper, tmp_path):
    mine = {key: value for key, value in RECORDED["configurations"].items() if key.startswith(f"{paper}|")}
    published = {(one.table, one.row, one.dataset): one for one in papers.rows(paper)}
    assert mine
    for key, recorded in mine.items():
        _, preset, *place = key.split("|")
        if recorded is None:  # a network trained end to end, which nothing here reproduces
            continue
        if place[0] == PER_CLASS:
            assert place[1] in PER_CLASS_MODELS
            continue
        model, found = HASHES[paper](published[tuple(place)], preset, tmp_path)
        assert f"{model} {found}" == recorded, key
