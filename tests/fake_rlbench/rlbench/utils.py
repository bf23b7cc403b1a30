import importlib


def name_to_task_class(task_file):
    name = task_file.replace(".py", "")
    class_name = "".join(word[0].upper() + word[1:] for word in name.split("_"))
    return getattr(importlib.import_module(f"rlbench.tasks.{name}"), class_name)
