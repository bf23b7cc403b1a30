"""Many cells over many processes or machines: what belongs to a sweep, who runs it, and how it stands.

A sweep is a folder of plain files. Whoever runs a cell is free to die at any moment: cells continue from their own
files, and a record is there or it is not.
"""
