"""`rlbench4-port`: tasks like RLBench's close_box, close_laptop_lid, toilet_seat_down and water_plants in MuJoCo.

Robot, objects and experts are this project's own: primitives whose sizes are written here. Nothing of RLBench's models
is in them. docs/rlbench.md says what the numbers of this simulator are, and that they are not RLBench's.
"""
