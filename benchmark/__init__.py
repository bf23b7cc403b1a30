"""The experiment: what is run, what is learned from, what is trained, how, and what comes out."""
