"""Cross-modality localization (Section 5): where in the video is a sound, where in the sound is a picture."""
