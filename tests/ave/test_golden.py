"""Agreement with values recorded from the authors' own implementation of AVE."""

import pytest

import ave
from ave import load_author_checkpoint

pytestmark = pytest.mark.golden

# Optimizer form -> suffix of the arrays recorded with it.
FORMS = {"torch": "", "torch_legacy": "_legacy"}


@pytest.fixture
def batch(golden):
    return {"audio": golden["ave_batch.npz", "audio"], "visual": golden["ave_batch.npz", "visual"]}


SEGMENTS = {"segments": "segment_probs", "attention": "attention"}
WEAK = {"video": "video_probs", "segments": "segment_scores", "attention": "attention"}


@pytest.mark.parametrize(
    ("checkpoint", "model", "recorded", "arrays"),
    [
        ("av_att.pt", "av_att", "av_att.npz", SEGMENTS),
        ("av_att_torch03.pt", "av_att", "av_att.npz", SEGMENTS),
        ("dmrn.pt", "dmrn", "dmrn.npz", SEGMENTS),
        ("av_att_weak.pt", "w_av_att", "av_att_weak.npz", WEAK),
    ],
)
def test_outputs_and_attention(golden, batch, checkpoint, model, recorded, arrays):
    loaded = load_author_checkpoint(golden.path(checkpoint))
    assert loaded.name == model
    outputs = ave.with_attention(loaded)(batch)
    for ours, theirs in arrays.items():
        golden.compare(recorded, theirs, outputs[ours], 1e-5)


# One form as a graph, the other op by op: both ways of running are the authors', and a graph is traced for seconds.
AS_GRAPHS = [("av_att", "torch_legacy", False)]
OP_BY_OP = [(name, "torch", True) for name in ("av_att", "dmrn", "av_att_weak")]
OP_BY_OP += [(name, "torch_legacy", True) for name in ("dmrn", "av_att_weak")]
FURTHER = [pytest.param(name, "torch_legacy", False, marks=pytest.mark.slow) for name in ("dmrn", "av_att_weak")]


@pytest.mark.parametrize(("name", "form", "eagerly"), [*AS_GRAPHS, *OP_BY_OP, *FURTHER])
def test_training_steps(golden, batch, name, form, eagerly):
    steps = len(golden[f"{name}.npz", f"losses_adam{FORMS[form]}_1e-3"])
    model = load_author_checkpoint(golden.path(f"{name}.pt"))
    ave.compile_model(model, ave.train_config(epsilon_form=form))
    model.run_eagerly = eagerly
    if name == "av_att_weak":
        labels = {"video": golden["ave_batch.npz", "video_labels"]}
    else:
        labels = golden["ave_batch.npz", "labels"]
    schedule = {"batch_size": len(batch["audio"]), "epochs": steps, "shuffle": False, "verbose": 0}
    history = model.fit(batch, labels, **schedule).history
    golden.compare(f"{name}.npz", f"losses_adam{FORMS[form]}_1e-3", history["loss"], 1e-4, unit="each")
    ours = model.predict(batch, verbose=0)
    ours = ours["video"] if name == "av_att_weak" else ours
    golden.compare(f"{name}.npz", f"after_3_steps{FORMS[form]}", ours, 1e-4, unit="one")


@pytest.mark.parametrize(("name", "count"), [("av_att", 1_335_246), ("dmrn", 1_571_150)])
def test_parameter_count_is_torchs(golden, name, count):
    model = load_author_checkpoint(golden.path(f"{name}.pt"))
    published = ave.build_model(name)
    assert published.count_params() == count
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in published.weights]


def test_video_labels_name_the_event_of_the_segments(golden):
    """ave_batch's two label arrays agree: the segments' events are no other than the video's."""
    segments, videos = golden["ave_batch.npz", "labels"], golden["ave_batch.npz", "video_labels"]
    background = segments.shape[-1] - 1
    for of_segments, of_video in zip(segments.argmax(-1), videos.argmax(-1), strict=True):
        assert set(of_segments) - {background} <= {of_video}
