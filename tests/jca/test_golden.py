"""Agreement with values recorded from the authors' own implementation of JCA."""

import json

import numpy as np
import pytest

import ave
import jca
from avfusion_benchmarks.co_attention import straightforward
from jca.author_checkpoints import load_with_config
from tests.reference.jca import segment_classifier

pytestmark = pytest.mark.golden

# Optimizer form -> suffix of the arrays recorded with it.
FORMS = {"torch": "", "torch_legacy": "_legacy"}
NO_DROPOUT = {"dropout": 0.0, "recurrent_dropout": 0.0}


@pytest.fixture
def batch(golden):
    return {"audio": golden["ave_batch.npz", "audio"], "visual": golden["ave_batch.npz", "visual"]}


@pytest.fixture(scope="module")
def loaded(golden):
    return load_with_config(golden.path("jca.pt"))


def test_outputs_and_attention(golden, batch, loaded):
    outputs = ave.with_attention(loaded[0])(batch)
    golden.compare("jca.npz", "segment_probs", outputs["segments"], 1e-5)
    golden.compare("jca.npz", "attention", outputs["attention"], 1e-5)


def test_sizes_and_dropout_are_read_off_the_file(golden, loaded):
    theirs = json.loads(str(golden["jca.npz", "hparams"]))
    config = loaded[1]
    ours = {
        "rnn": config.cell.upper(),
        "num_layers": config.num_layers,
        "video_size": config.video_size,
        "audio_size": config.audio_size,
        "num_seq": config.recursions,
        "droprnn": config.recurrent_dropout,
        "dropout": config.dropout,
        "num_classes": config.num_classes,
    }
    assert ours == theirs


def test_plain_numpy_gives_their_outputs(golden, batch, loaded):
    """The reference that other sizes are compared with is itself the authors' network."""
    model, config = loaded
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    outputs = [
        segment_classifier(weights, config, audio=audio, visual=visual)
        for audio, visual in zip(batch["audio"], batch["visual"], strict=True)
    ]
    golden.compare("jca.npz", "segment_probs", outputs, 1e-5)


def train(golden, batch, model, suffix):
    """As many steps as were recorded, all on one batch."""
    steps = len(golden["jca.npz", f"losses_adam{suffix}_1e-3"])
    schedule = {"batch_size": len(batch["audio"]), "epochs": steps, "shuffle": False, "verbose": 0}
    history = model.fit(batch, golden["ave_batch.npz", "labels"], **schedule).history
    golden.compare("jca.npz", f"losses_adam{suffix}_1e-3", history["loss"], 1e-4, unit="each")
    golden.compare("jca.npz", f"after_{steps}_steps{suffix}", model(batch), 1e-4, unit="one")


@pytest.mark.parametrize("form", FORMS)
def test_training_steps(golden, batch, form):
    model = jca.load_author_checkpoint(golden.path("jca.pt"), **NO_DROPOUT)
    jca.compile_model(model, jca.train_config(epsilon_form=form, learning_rate=1e-3))
    # One form as a graph, the other op by op: both ways of running are the authors', and a graph is traced for seconds.
    model.run_eagerly = form == "torch"
    train(golden, batch, model, FORMS[form])


@pytest.mark.slow
def test_the_benchmarks_plain_form_is_the_same_network(golden, batch):
    plain = straightforward(jca.load_author_checkpoint(golden.path("jca.pt"), **NO_DROPOUT), learning_rate=1e-3)
    golden.compare("jca.npz", "segment_probs", plain(batch), 1e-5)
    plain.run_eagerly = True
    train(golden, batch, plain, "_legacy")
