"""Parts of networks and trainings that more than one paper uses: recurrent layers, losses, optimizers."""
