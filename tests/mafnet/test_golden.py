"""Agreement with values recorded from the authors' own implementation of MAFnet."""

import keras
import pytest
import tensorflow as tf

import mafnet
from avpipeline.checkpoints import read_tf1
from mafnet.author_checkpoints import author_names
from mafnet.recipe import left_out

pytestmark = pytest.mark.golden

# What 'sound' steps leave out -> suffix of the arrays recorded so.
LEFT_OUT = {"accident": "", "path": "_visual_path_left_out"}


@pytest.fixture(scope="module")
def checkpoint(golden):
    return golden.path("mafnet_ckpt") / "MAFnet"


@pytest.fixture(scope="module")
def read(checkpoint):
    """The checkpoint's model, and its weights to go back to."""
    model = mafnet.load_author_checkpoint(checkpoint)
    return model, model.get_weights()


@pytest.fixture
def model(read):
    """The model of the checkpoint as it was read, whatever a test before did with it."""
    model, weights = read
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def batch(golden):
    return {name: golden["mafnet.npz", name] for name in ("visual", "audio")}


@pytest.fixture(scope="module")
def labels(golden):
    return golden["mafnet.npz", "labels"]


def test_outputs_attention_and_loss(golden, model, batch, labels):
    mafnet.compile_model(model)
    shown = mafnet.with_attention(model)
    logits = keras.Model(model.input, model.get_layer("video").input)
    outputs = keras.Model(model.input, {**shown.output, "logits": logits.output}).predict(batch, verbose=0)
    golden.compare("mafnet.npz", "logits", outputs["logits"], 1e-5)
    golden.compare("mafnet.npz", "probs", outputs["video"], 1e-5)
    golden.compare("mafnet.npz", "attention", outputs["attention"][..., None], 1e-5)
    loss = model.compute_loss(y=labels, y_pred=tf.constant(outputs["video"]))
    golden.compare("mafnet.npz", "loss_eval", loss, 1e-5)


def fitted(model, batch, labels, steps):
    schedule = {"batch_size": len(labels), "epochs": steps, "shuffle": False, "verbose": 0}
    return model.fit(batch, labels, **schedule).history["loss"]


def step_by_step(model, batch, labels, steps):
    losses = []
    for _ in range(steps):
        model.reset_metrics()
        losses.append(model.train_on_batch(batch, labels, return_dict=True)["loss"])
    return losses


# A graph is traced for ten seconds or more: by default one setting runs as one, the other op by op.
AS_GRAPHS = [("path", fitted, False), ("accident", step_by_step, False)]


@pytest.mark.parametrize(
    ("which", "train", "eagerly"),
    [
        ("accident", fitted, False),
        ("path", fitted, True),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in AS_GRAPHS),
    ],
)
def test_training_steps(golden, model, batch, labels, which, train, eagerly):
    sequence, suffix = golden["mafnet.npz", "update_sequence"].tolist(), LEFT_OUT[which]
    mafnet.compile_model(model, mafnet.train_config(left_out=which, update_sequence=tuple(sequence)))
    model.run_eagerly = eagerly
    losses = train(model, batch, labels, len(sequence))
    golden.compare("mafnet.npz", f"losses{suffix}", losses, 1e-4, unit="each")
    golden.compare("mafnet.npz", f"probs_after{suffix}", model.predict(batch, verbose=0), 1e-3, unit="one")


@pytest.fixture(scope="module")
def names(checkpoint):
    return author_names(read_tf1(checkpoint))


@pytest.mark.parametrize("update", ["all", "sound", "image"])
def test_variables_of_each_update_are_the_authors(golden, model, names, update):
    ours = {path: name for name, path in names.items()}
    skipped = left_out(model, "accident").get(update, ())
    chosen = [weight for place, weight in enumerate(model.trainable_weights) if place not in skipped]
    theirs = golden["mafnet.npz", {"all": "trainable_names"}.get(update, f"{update}_names")]
    assert sorted(f"{ours[weight.path]}:0" for weight in chosen) == sorted(theirs)
