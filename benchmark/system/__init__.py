"""Files, processes and text: what a program needs of a machine, whatever it computes."""
