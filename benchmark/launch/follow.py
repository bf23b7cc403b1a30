"""Where jobs that waited in a queue before `follow_up` had its name look for their work."""

from benchmark.launch.follow_up import Again

__all__ = ["Again"]
