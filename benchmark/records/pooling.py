"""What is equal for records that may be averaged, as training seeds or as tasks of one row.

All of their identity but the task and the seed; of a joint policy, also the tasks that it was trained on.
"""

from __future__ import annotations

from typing import Any

from benchmark.records.record import Record
from benchmark.settings.seeds import parts
from benchmark.system.digest import digest

CELL = ("schema", "task", "seed")


def pooling_key(record: Record) -> str:
    """Equal for records that may be averaged: seeds and tasks of one row. A hash, for frames and exports."""
    return digest(pooled_facts(record))[:16]


def pooled_facts(record: Record) -> dict[str, Any]:
    facts = {key: value for key, value in record.identity.items() if key not in CELL}
    ruled = {"rules", "task_rules"} & set(record.identity.get("suite", {}))
    said = record.identity["protocol"] if ruled else {}  # the rules are in the identity, and differ from task to task
    together = record.identity.get("task", record.task)
    return facts | {
        "success rule": said.get("success", record.success_rule),
        "horizon": said.get("horizon", record.horizon),
        "tasks of one policy": together if len(parts(together)) > 1 else "one",
    }
