"""Renders the clips of the rendered dataset: storyboards -> frames and sounds -> .mp4 files.

Nothing here imports TensorFlow, so that a rendering process starts in a fraction of a second.
"""
