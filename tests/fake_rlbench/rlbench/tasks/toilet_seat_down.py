class ToiletSeatDown:
    port = "toilet-seat-down"
