"""`bench perf`: speed as ratios to floors taken in the same run, because seconds on a shared machine say nothing.

A floor is the least that has to be done anyway (the simulator's physics and one render; the network's forward,
backward and step), written as a bare loop without anything of ours around it.
"""
