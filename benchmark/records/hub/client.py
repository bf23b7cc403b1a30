"""The Hugging Face Hub behind one door: its client, and its errors in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from benchmark.system.errors import ConfigError
from benchmark.system.files import full_disk
from benchmark.system.printable import one_line
from envs.errors import UserError

TOKEN = "make one at https://huggingface.co/settings/tokens, then set HF_TOKEN or run `hf auth login`"


class HubFailed(UserError, RuntimeError):
    """The Hub could not be reached, or said no."""


def client() -> Any:
    """`huggingface_hub.HfApi` at $HF_ENDPOINT, by default https://huggingface.co. Raises `ConfigError` without it."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ConfigError("`bench hub` needs huggingface_hub: python -m pip install 'repbench[hub]'") from error
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="repbench")


def need_token() -> None:
    """Raises `HubFailed` where nobody is logged in."""
    from huggingface_hub import get_token

    if not (os.environ.get("HF_TOKEN") or get_token()):
        raise HubFailed(f"nothing can be pushed without a token: {TOKEN}")


@contextlib.contextmanager
def told(repo: str) -> Iterator[None]:
    """Turn the client's errors into `HubFailed`; those of this machine's disk stay what they are."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise ConfigError(f"{repo!r} is no repository: give OWNER/NAME") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubFailed("HF_HUB_OFFLINE is set, so the Hub is not asked; unset it") from error
    except errors.GatedRepoError as error:
        raise HubFailed(
            f"{repo} is given only to those whom its owner lets in: ask on its page, and {TOKEN}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubFailed(f"there is no data set {repo} on the Hub, or it is private: {TOKEN}") from error
    except errors.RevisionNotFoundError as error:
        raise HubFailed(f"{repo} has no such revision") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no answer")
        mend = f"; {TOKEN}" if status in (401, 403) else ""
        raise HubFailed(f"the Hub says {status} for {repo}: {one_line(_reason(error))}{mend}") from error
    except Exception as error:
        if not _is_network(error) or full_disk(error):
            raise
        said = one_line(str(error)) or type(error).__name__
        raise HubFailed(f"the Hub cannot be reached ({said}); try the same command again later") from error


def _reason(error: Any) -> str:
    return str(getattr(error, "server_message", None) or str(error).splitlines()[0])


def _is_network(error: BaseException) -> bool:
    """Also of what the client raises for a file that it could not fetch because of the network."""
    seen: BaseException | None = error
    while seen is not None:
        module = type(seen).__module__.split(".")[0]
        if module in ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"):
            return True
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
