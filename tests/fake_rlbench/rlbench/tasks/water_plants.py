class WaterPlants:
    port = "water-plants"
