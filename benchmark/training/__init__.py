"""How a policy is trained: samples to steps, optimiser, checkpoints."""
