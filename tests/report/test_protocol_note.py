"""A table of another protocol than the paper's says so, and in what."""

from __future__ import annotations

import dataclasses

from benchmark.report.tables.ledger import ledger
from benchmark.report.tables.papers import PROTOCOLS, SUITES, paper_table
from benchmark.report.tables.protocol_note import departure
from benchmark.settings.catalog import cards
from benchmark.settings.load import load_settings
from envs.identity import named_by
from tests.report.test_tables import record


def test_the_papers_own_protocol_departs_from_nothing() -> None:
    assert departure("clar") == ()


def test_every_difference_is_named() -> None:
    (note,) = departure("quick")
    for part in ("train_demos 20 instead of 25", "epochs 10 instead of 150", "rollouts 10 instead of 25"):
        assert part in note
    assert "retest" not in note and "title" not in note
    (note,) = departure("matched")
    assert "(batch_size 2d 64 and 3d 64 instead of 2d 256 and 3d 16)" in note


def test_the_protocol_of_keyframes_is_the_papers_for_rlbench_alone() -> None:
    assert departure("clar-rlbench", "clar-rlbench") == ()
    (note,) = departure("clar", "clar-rlbench")
    assert "train_demos 25 instead of 100" in note and "schedule constant instead of cosine" in note
    assert "train_demos 100 instead of 25" in departure("clar-rlbench")[0]


def test_a_protocol_that_is_not_here_is_another_one_too() -> None:
    assert departure("theirs") == (
        "protocol theirs is not the paper's: its numbers do not compare with the reported ones.",
    )


def test_tables_and_ledger_carry_the_note() -> None:
    for (paper, number), name in SUITES.items():
        suite = load_settings(name, "quick", "mlp").suite
        papers = PROTOCOLS.get((paper, number), "clar")
        assert departure("quick", papers)[0] in paper_table(paper, number, [], suite, "quick").notes
        assert not any("not the paper's" in note for note in paper_table(paper, number, [], suite, papers).notes)
    suite = load_settings("metaworld-15", "quick", "mlp").suite
    assert departure("quick")[0] in ledger([], cards(), suite, "quick").notes


def test_a_label_of_many_changes_says_no_number_that_was_changed() -> None:
    """Which they were is in the records alone; what the base has is not what was done."""
    (note,) = departure("clamp-small+10-changes-7da017ee", "clamp")
    assert "(clamp-small with 10 changes that only its records name)" in note
    few = ["protocol.steps=600", "protocol.train_demos=30", "protocol.valid_demos=2", "protocol.rollouts=5"]
    few += ["protocol.evaluate_every=600", "protocol.retest_rollouts=30", "protocol.batch_size.3d=16"]
    few += ["protocol.learning_rate=0.01", "suite.observation.height=240", "suite.observation.width=424"]
    settings = load_settings("aloha-6", "clamp-small", "mlp", few)
    label = settings.protocol.name
    assert "-changes-" in label
    said = {"protocol": named_by(settings.protocol)}
    made = dataclasses.replace(record("drawer-open", "state", (1, 2, 1)), protocol=label, identity=said)
    (note,) = departure(label, "clamp", [made])
    for part in (
        "train_demos 30 instead of 4500",
        "steps 600 instead of 1000000",
        "batch_size 2d 32 and 3d 16 instead of 2d 8 and 3d 8",
        label.partition("+")[2],
    ):
        assert part in note, note
    assert "train_demos 100" not in note and "schedule" not in note
