"""Sending a folder to a data set on the Hub, in one commit: all of it is there, or nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

from benchmark.data.lerobot.layout import CARD, VERSION
from benchmark.records.hub.client import HubFailed, client, need_token, told
from benchmark.records.hub.contents import LEROBOT, Contents, contents

RECORDS_CARD = """---
task_categories:
- robotics
tags:
- repbench
---

# Records of RepBench

One JSON file for each cell (suite, task, method, head, seed) under one protocol, and the actions of its retest. Get and
check them with

```
bench hub pull {repo} --to records
bench table 1 --records records
bench audit --records records
```
"""


def push(folder: Path, repo: str, private: bool, replace: bool, revision: str | None = None) -> tuple[Contents, str]:
    """What was sent, and the address of its page.

    replace: also remove what the repository of a data set has and the folder has not; without it that is refused, as
    the two would be mixed. Raises `HubFailed`, and what `contents` does.
    """
    sent = contents(folder)
    api = client()
    need_token()
    with told(repo):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import RevisionNotFoundError

        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        there = set(api.list_repo_files(repo, repo_type="dataset", revision=revision)) - {".gitattributes", CARD}
        extra = sorted(there - set(sent.files)) if sent.kind == LEROBOT else []
        if extra and not replace:
            raise HubFailed(
                f"{repo} has {len(extra)} files that are not in {folder} ({extra[0]}): give another repository, or "
                "--replace, which removes them"
            )
        changes: list[object] = [CommitOperationAdd(name, str(file)) for name, file in sent.files.items()]
        changes += [CommitOperationDelete(name) for name in extra]
        if CARD not in sent.files:
            changes.append(CommitOperationAdd(CARD, RECORDS_CARD.format(repo=repo).encode()))
        message = f"{sent.said}, by repbench"
        done = api.create_commit(repo, changes, commit_message=message, repo_type="dataset", revision=revision)
        if sent.kind == LEROBOT and revision is None:  # by this tag lerobot finds the version that it can read
            with contextlib.suppress(RevisionNotFoundError):
                api.delete_tag(repo, tag=VERSION, repo_type="dataset")
            api.create_tag(repo, tag=VERSION, repo_type="dataset", revision=done.oid)
    return sent, f"{api.endpoint}/datasets/{repo}"
