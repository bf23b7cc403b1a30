import os

if os.environ.get("FAKE_RLBENCH") == "import:library":
    raise ImportError("libcoppeliaSim.so.1: cannot open shared object file: No such file or directory")
