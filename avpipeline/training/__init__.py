"""Training: settings, experiments, runs that resume after an interruption, saved models."""
