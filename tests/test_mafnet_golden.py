"""Agreement with values recorded from the authors' own implementation of MAFnet."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mafnet
from avpipeline.checkpoints import read_tf1
from mafnet.author_checkpoints import author_names
from mafnet.training import left_out

pytestmark = pytest.mark.golden

# What 'sound' steps leave out -> suffix of the arrays recorded so.
LEFT_OUT = {"accident": "", "path": "_visual_path_left_out"}


@pytest.fixture(scope="module")
def checkpoint(golden):
    return golden.path("mafnet_ckpt") / "MAFnet"


@pytest.fixture(scope="module")
def batch(golden):
    return {name: golden["mafnet.npz", name] for name in ("visual", "audio")}


@pytest.fixture(scope="module")
def labels(golden):
    return golden["mafnet.npz", "labels"]


def close(ours, theirs):
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1, np.abs(theirs).max())


def compiled(checkpoint, which, sequence):
    config = mafnet.train_config(left_out=which, update_sequence=tuple(sequence))
    return mafnet.compile_model(mafnet.load_author_checkpoint(checkpoint), config)


def test_outputs_attention_and_loss(golden, checkpoint, batch, labels):
    model = mafnet.compile_model(mafnet.load_author_checkpoint(checkpoint))
    shown = mafnet.with_attention(model)
    logits = keras.Model(model.input, model.get_layer("video").input)
    outputs = keras.Model(model.input, {**shown.output, "logits": logits.output}).predict(batch, verbose=0)
    close(outputs["logits"], golden["mafnet.npz", "logits"])
    close(outputs["video"], golden["mafnet.npz", "probs"])
    close(outputs["attention"][..., None], golden["mafnet.npz", "attention"])
    loss = model.compute_loss(y=labels, y_pred=tf.constant(outputs["video"]))
    np.testing.assert_allclose(float(loss), golden["mafnet.npz", "loss_eval"], rtol=1e-4)


@pytest.mark.parametrize("which", LEFT_OUT)
@pytest.mark.parametrize("how", ["fit", "step by step"])
def test_training_steps(golden, checkpoint, batch, labels, which, how):
    sequence = golden["mafnet.npz", "update_sequence"].tolist()
    model = compiled(checkpoint, which, sequence)
    if how == "fit":
        schedule = {"batch_size": len(labels), "epochs": len(sequence), "shuffle": False, "verbose": 0}
        losses = model.fit(batch, labels, **schedule).history["loss"]
    else:
        losses = []
        for _ in sequence:
            model.reset_metrics()
            losses.append(model.train_on_batch(batch, labels, return_dict=True)["loss"])
    suffix = LEFT_OUT[which]
    np.testing.assert_allclose(losses, golden["mafnet.npz", f"losses{suffix}"], rtol=1e-4)
    after = model.predict(batch, verbose=0)
    np.testing.assert_allclose(after, golden["mafnet.npz", f"probs_after{suffix}"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("update", ["all", "sound", "image"])
def test_variables_of_each_update_are_the_authors(golden, checkpoint, update):
    model = mafnet.load_author_checkpoint(checkpoint)
    ours = {path: name for name, path in author_names(read_tf1(checkpoint)).items()}
    skipped = left_out(model, "accident").get(update, ())
    chosen = [weight for place, weight in enumerate(model.trainable_weights) if place not in skipped]
    theirs = golden["mafnet.npz", {"all": "trainable_names"}.get(update, f"{update}_names")]
    assert sorted(f"{ours[weight.path]}:0" for weight in chosen) == sorted(theirs)
