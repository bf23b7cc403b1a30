"""Simulators behind one interface.

This room imports numpy and its simulator and nothing else of ours: a worker process that holds a simulator
may run in another Python interpreter, where torch is not installed.
"""
