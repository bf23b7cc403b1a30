class CloseLaptopLid:
    port = "close-laptop-lid"
