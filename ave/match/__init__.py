"""Cross-modality localization (Section 5): locating a sound in the video frames, or frames in the sound."""
