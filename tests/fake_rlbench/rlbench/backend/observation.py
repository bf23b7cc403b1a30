class Observation:
    """Pictures and states as attributes; all that was not asked for is None."""

    def __init__(self, **fields):
        self.__dict__.update(fields)
