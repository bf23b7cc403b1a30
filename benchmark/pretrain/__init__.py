"""Pre-training of representations: frames from demonstrations, the training loop, and what it leaves."""
