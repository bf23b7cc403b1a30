class EndEffectorPoseViaPlanning:
    def __init__(self, absolute_mode=True, frame=None, collision_checking=False):
        self.absolute_mode, self.collision_checking = absolute_mode, collision_checking
