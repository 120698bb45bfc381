"""From a media file to labels over time, as text, JSON and pictures."""
