"""Training runs: settings, experiments, the state that survives a kill, saved models."""
