"""`rlbench`: the real RLBench (stepjam/RLBench) in CoppeliaSim, one process each.

Nothing in here imports `rlbench` or `pyrep` before a simulator is built: what the class says can be asked anywhere, and
stored demonstrations are read without either. docs/rlbench.md says what has been run and what has not.
"""
