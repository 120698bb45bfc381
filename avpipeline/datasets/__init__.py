"""Datasets by name; each module reads one dataset's official files into `base.Split`s."""
