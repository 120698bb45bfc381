"""What of a dataset's folder is there, missing or wrong; `python -m avpipeline.validate` prints it."""
