class CloseBox:
    port = "close-box"
