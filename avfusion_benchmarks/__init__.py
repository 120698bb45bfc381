"""Speed, memory and accuracy of the networks here, beside what one would write instead; the papers' on real clips."""

import avpipeline  # noqa: F401  first: it quiets TensorFlow's start
