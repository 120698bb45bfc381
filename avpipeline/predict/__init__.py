"""From a media file to labels over time, and the documents that say them."""
