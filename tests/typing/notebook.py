"""What a notebook writes with the public names, for a type checker: never run. See test_pyright.py."""

from pathlib import Path

import keras
import numpy as np

import attendfusion
import ave
import eventlayers
import jca
import mafnet
from attendfusion.config import RENDERED_MODEL, RENDERED_TRAINING
from attendfusion.data import RecordSettings, load_records
from attendfusion.evaluation import evaluate
from attendfusion.models import video_classifier
from attendfusion.pictures import Example, accuracy_against_parameters, examples
from attendfusion.train import PAPER as ATTENDFUSION
from attendfusion.train import fitted as fitted_records
from ave.models import forward_of
from avpipeline.checkpoints import read_keras_h5, read_pickle_arrays, read_tf1, read_torch
from avpipeline.datasets import load_split, load_video_split, load_weak_training, register_dataset
from avpipeline.datasets.batches import batches, steps_per_epoch
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.datasets.video_lists import VideoList
from avpipeline.errors import InputError
from avpipeline.extract import extract
from avpipeline.features.logmel import LogMel, split_seconds
from avpipeline.features.registry import EXTRACTORS, build_extractor, clip_features
from avpipeline.media import probe, read_clip, read_frames, read_waveform, write_clip
from avpipeline.metrics import SegmentAccuracy, confusion_matrix, per_class_accuracy, segment_accuracy
from avpipeline.metrics.ranking import F1, GAP, PERR, BestThreshold, HitAtOne, MeanAveragePrecision
from avpipeline.nn.losses import MultiLabelSoftMargin
from avpipeline.nn.optimizers import Adam
from avpipeline.nn.recurrent import BidirectionalGRU, BidirectionalLSTM, TorchGRU, TorchLSTM
from avpipeline.plots import attention_figure, attention_frames, charts, timeline
from avpipeline.plots.style import as_jpeg
from avpipeline.predict.describing import describe_file, load_describer, write_description
from avpipeline.predict.segments import Predictor, predict_file, write_prediction
from avpipeline.results.papers import comparison, lookup, rows
from avpipeline.training.experiment import Experiment, Outcome
from avpipeline.training.runs import predict, run
from avpipeline.training.saved import ModelInfo, load_model, save_model
from eventlayers.analysis import complementary_by_group
from eventlayers.pictures import event_characteristics
from eventlayers.predict import Predictor as EventPredictor
from eventlayers.predict import write_file
from eventlayers.train import PAPER as EVENTLAYERS
from eventlayers.train import splits_of
from mafnet.config import RENDERED_MODEL as MAFNET_MODEL
from mafnet.config import RENDERED_TRAINING as MAFNET_TRAINING
from mafnet.data import fitted
from mafnet.data import load_split as load_mafnet_split
from mafnet.models import classifier
from mafnet.pictures import embeddings, modality_scores
from mafnet.tsne import film_embeddings, in_the_plane

SCORES, LABELS = np.zeros((4, 10, 29)), np.zeros((4, 10, 29))


def models_of_the_papers() -> list[keras.Model]:
    ours = ave.compile_model(ave.build_model("av_att", "paper", hidden_units=64), ave.train_config(learning_rate=1e-4))
    ours.fit({"audio": np.zeros((2, 10, 128)), "visual": np.zeros((2, 10, 7, 7, 512))}, LABELS[:2], epochs=1, verbose=0)
    assert ave.has_attention(ours) and ave.model_config("av_att").hidden_units == 128
    maps = ave.with_attention(ours)(np.zeros((1, 10, 128)))
    print(maps["attention"].shape, sorted(ave.MODELS), *ave.PRESETS, ave.ModelConfig(), ave.TrainConfig())
    recipe = mafnet.train_config("paper", "mafnet", **MAFNET_TRAINING)
    fused = mafnet.compile_model(mafnet.build_model(), recipe, seed=1)
    print(mafnet.has_attention(fused), mafnet.model_config("mafnet"), mafnet.CLASS_NAMES[0])
    print(mafnet.MODELS.keys(), mafnet.PRESETS)
    recursive = jca.compile_model(jca.build_model("jca", dropout=0.0), jca.train_config())
    attended = attendfusion.compile_model(attendfusion.build_model(), attendfusion.train_config())
    print(attendfusion.count_parameters("attend_fusion") // 1000, attendfusion.model_config("attend_fusion").dropout)
    layers = eventlayers.compile_model(eventlayers.build_model(top_k=5), eventlayers.train_config(inputs="clips"))
    shown = [mafnet.with_attention(fused), mafnet.with_film(fused), eventlayers.time_step_features(layers)]
    print(jca.MODELS, attendfusion.MODELS, eventlayers.MODELS, jca.PRESETS, attendfusion.PRESETS, eventlayers.PRESETS)
    print(jca.model_config("jca") == jca.ModelConfig(), eventlayers.model_config("event_layers").heads)
    defaults = mafnet.TrainConfig(), jca.TrainConfig(), attendfusion.TrainConfig(), eventlayers.TrainConfig()
    print(*defaults, mafnet.ModelConfig(), attendfusion.ModelConfig(), eventlayers.ModelConfig())
    return [ours, fused, recursive, attended, layers, *shown, ave.build_avdln(), ave.build_dcca()]


def models_of_others(folder: Path) -> None:
    loaded = [ave.load_author_checkpoint(folder / "AV_att.pt"), jca.load_author_checkpoint(folder / "jca.h5")]
    loaded += [mafnet.load_author_checkpoint(folder / "MAFnet"), ave.load_cross_modality_weights(folder / "cmm.h5")]
    for model in loaded:
        print(model.count_params(), model.name)
    tensors = read_torch(folder / "net.pt", classes=["torch.nn.Linear"])
    print(tensors, read_tf1(folder / "net")["bias"].shape, read_keras_h5(folder / "net.h5").keys())
    print(read_pickle_arrays(folder / "features.pkl"))


def layers_in_a_model_of_ones_own() -> keras.Model:
    audio, visual = keras.Input((10, 128)), keras.Input((10, 7, 7, 512))
    attended = ave.AudioGuidedAttention(units=64)(audio, visual)
    heard = BidirectionalLSTM(64, num_layers=2)(TorchLSTM(64)(audio))
    seen = BidirectionalGRU(64)(TorchGRU(64)(attended))
    joint = jca.JointCoAttention(affinity_units=8)(heard, seen)
    again = jca.Rerepresentation(32)(heard)
    film = mafnet.FiLMedResidualBlock(16), mafnet.FiLM(), mafnet.ModalityTemporalAttention(units=8)
    tokens = attendfusion.Attention(64)(attendfusion.FullyConnected(64)(heard))
    blocks = attendfusion.ResidualBlock(depth=1), attendfusion.GatedResidualBlock(dropout=0.1)
    events = eventlayers.InstantEventLayer(k=3), eventlayers.OnsetEventLayer(), eventlayers.ContinuousEventLayer()
    events += eventlayers.VisualEventLayer(), eventlayers.AudioEventLayer(), eventlayers.EventLogMel(), LogMel()
    print(joint, again, film, blocks, [layer.name for layer in events], eventlayers.LAYERS)
    model = mafnet.UpdateDropping([audio, visual], keras.layers.Dense(29)(tokens))
    model.compile(Adam(1e-3, epsilon_form="torch"), MultiLabelSoftMargin(), metrics=[SegmentAccuracy(), GAP(), PERR()])
    return model


@ave.register_fusion("mine")
class Mine(ave.Fusion):
    """The sum of both."""

    def call(self, audio, visual):
        return audio + visual


ave.register_model("wide", "a wider one", hidden_units=256)
ave.register_matcher("long", hidden_units=256)
jca.register_model("dry", dropout=0.0)
attendfusion.register_model("dry", dropout=0.0)
eventlayers.register_model("few", "of three time steps", top_k=3)


@mafnet.register_model("own", "with a function of its own")
def own(config: mafnet.ModelConfig) -> keras.Model:
    return classifier(config, "own")


@register_dataset("mine", "my clips")
def read_mine(split: str, folder: Path) -> VideoList:
    return VideoList("mine", split, ("a",), ("dog", "cat"), np.zeros((1, 2), np.float32))


def data_and_features(folder: Path) -> dict[str, np.ndarray]:
    split = load_split("ave", "train", folder, modalities=["audio"])
    print(split.class_names, len(load_video_split("ucf51-1", "test")), load_weak_training("ave", noisy=False).labels)
    for inputs, labels in batches(split, 16, shuffle=True).take(steps_per_epoch(split, 16)):
        print(inputs["audio"].shape, labels.shape)
    info = probe(folder / "clip.mp4")
    clip = read_clip(folder / "clip.mp4", seconds=10, size=(224, 224))
    frames, sound = read_frames(info.path, frame_rate=4, size=None, seconds=2), read_waveform(info.path)
    if frames is not None and sound is not None:
        write_clip(folder / "copy.mp4", frames, sound, frame_rate=4)
        print(split_seconds(sound).shape, eventlayers.onsets(sound), info.whole_seconds)
    summary = extract(folder, "s3://bucket/features", features=["vgg19", "vggish"], engine="ray", part="1/8")
    print(summary.text(), summary.features["audio"].shape, rendered_clips().folder, sorted(EXTRACTORS))
    return clip_features({"audio": build_extractor("vggish:embedding", weights_dir=folder)}, clip)


def training_and_results(experiment: Experiment, folder: Path) -> None:
    result = run(experiment, folder, seeds=[0, 1])
    probabilities = predict(experiment.build(), experiment.splits.test, output="video")
    outcome = Outcome(segment_accuracy(LABELS, probabilities), {"labels": LABELS})
    print(result["test_mean"], outcome.score, outcome.figures.get("accuracy"), per_class_accuracy(LABELS, SCORES))
    model, info = load_model(folder / "seed-0" / "best.keras", paper="ave")
    again = ModelInfo(info.paper, info.model, info.preset, info.class_names, info.features, info.dataset)
    assert save_model(model, folder / "copy.keras", again).exists()
    for metric in (F1(threshold=0.4), HitAtOne(), MeanAveragePrecision(), BestThreshold()):
        metric.update_state(LABELS[:, 0], SCORES[:, 0])
        print(metric.name, float(metric.result()))
    print(comparison([(row, "not run") for row in rows("ave", "Table 1")]), lookup("ave", "Table 1", "A+V-att").value)
    charts.confusion_matrix(folder / "confusion.png", confusion_matrix(LABELS, SCORES), ["dog", "cat"])
    charts.curves(folder / "curves.png", {"loss": [1.0, 0.5]})


def predictions(folder: Path, describer_weights: Path | None = None) -> bytes:
    model, info = load_model(folder / "best.keras")
    extractors = {name: build_extractor(features.label) for name, features in info.features.items()}
    predictor = Predictor(forward_of(model), info, folder / "best.keras", extractors, window=10)
    prediction = predict_file("clip.mp4", predictor)
    print(write_prediction(prediction, predictor, folder), prediction.probabilities.argmax(-1))
    timeline(folder / "t.png", SCORES[0], info.class_names, truth=[0] * 10, waveform=np.zeros(160000))
    attention_frames(folder / "a.png", np.zeros((10, 8, 8, 3)), np.zeros((10, 7, 7)), ["dog"] * 10, class_names=["dog"])
    attention_figure(folder / "f.png", [], class_names=info.class_names)
    describer = load_describer(weights_dir=describer_weights)
    print(write_description(describe_file(folder / "clip.mp4", describer), describer, folder))
    return as_jpeg(folder / "t.png", width=600)


def videos_and_events(folder: Path, look: EventPredictor) -> None:
    try:
        print(write_file(folder / "clip.mp4", look, folder))
    except InputError as error:
        raise SystemExit(error.exit_status) from error
    labels, scores = np.zeros((4, 28), bool), np.zeros((4, 5, 28))
    print(eventlayers.vote(scores), eventlayers.video_accuracy(labels, scores), eventlayers.label_sets(scores).sum())
    print(eventlayers.multi_label_f1(labels, eventlayers.label_sets(scores), average="classes"))
    print(eventlayers.complementary_counts(labels, scores)["continuous"], eventlayers.category_layers(labels, scores))
    print(eventlayers.most_activating(labels, scores, 3)["onset"], eventlayers.sound_localization(SCORES, SCORES))
    event_characteristics(folder / "t4.png", {"VGGSound": eventlayers.category_counts(labels, scores)})
    complementary_by_group(labels, scores, ["a"] * 4)
    print(EVENTLAYERS.defaults, splits_of(EVENTLAYERS.settings_for("event_layers"))["test"].labels)

    config = mafnet.model_config("mafnet", "code", **MAFNET_MODEL)
    split = load_mafnet_split("ucf51-1", "test", config, folder)
    points, classes = film_embeddings(mafnet.with_film(classifier(fitted(config, split), "mafnet")), split)
    plane = {name: in_the_plane(values, perplexity=30.0, seed=0) for name, values in points.items()}
    embeddings(folder / "tsne.png", plane, classes, split.class_names)
    modality_scores(folder / "m.png", np.zeros((2, 8)), ["visual", "audio"])

    network = attendfusion.model_config("attend_fusion", "paper", **RENDERED_MODEL)
    records = load_records(RecordSettings(dataset="rendered"), vars(network))
    model = video_classifier(fitted_records(network, videos := records.stream("test"), records.tokens), "attend_fusion")
    print(evaluate(model, videos, threshold=0.5), ATTENDFUSION.defaults, RENDERED_TRAINING)
    examples(folder / "e.png", [Example("a", None, ("dog",), {"attend_fusion": [("dog", 0.9)]})])
    accuracy_against_parameters(folder / "p.png", {"YouTube-8M": {"attend_fusion": (72e6, 75.6)}})
