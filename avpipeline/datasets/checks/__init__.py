"""Checks of a dataset's folder: what is there, missing or wrong; `python -m avpipeline.validate` prints it."""
