"""Speed of the event layers trained as in the paper: all five heads and both published backbones, on clips."""

import keras
import numpy as np
import tensorflow as tf

import eventlayers
from avfusion_benchmarks.measuring import seconds_per_call

CLIPS = 2


def joint_step(seconds: float) -> dict[str, float]:
    """Forward pass, backward pass and update for two clips in memory, of 100 frames of 112x112 and 10 s of sound."""
    keras.utils.set_random_seed(0)
    model = eventlayers.build_model(num_classes=309, inputs="clips")
    eventlayers.compile_model(model, eventlayers.train_config(inputs="clips", batch_size=CLIPS, clips_at_once=None))
    random = np.random.default_rng(0)
    clips = {
        "visual": tf.constant(random.integers(0, 256, (CLIPS, 100, 112, 112, 3)), tf.float32),
        "audio": tf.constant(0.1 * random.standard_normal((CLIPS, 160_000)), tf.float32),
        "onsets": tf.constant(np.tile(np.arange(100), (CLIPS, 1)), tf.float32),
        "onset_mask": tf.constant(random.random((CLIPS, 100)) < 0.3, tf.float32),
    }
    labels = tf.one_hot(random.integers(309, size=CLIPS), 309)
    step = tf.function(lambda: model.train_step((clips, labels))["loss"], jit_compile=False)
    taken = seconds_per_call(step, seconds)
    return {"s a step": taken, "s a clip": taken / CLIPS, "clips/s": CLIPS / taken}
