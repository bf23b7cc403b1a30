"""Scripted experts that see the true poses: closed-form kinematics, sets of grasps and goals, straight moves.

transforms, kinematics, forces: geometry and what holds an arm up. collisions, pilot: what a motion would hit, and
motions. planner, execute: pick and place. One file for each kind of task; episode: from a seed to a demonstration.
"""
