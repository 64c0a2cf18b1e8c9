"""What a trainer hands a reward function on each rank: the texts of completions, and what the other ranks got."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]  # of a conversation: {"role": ..., "content": text, or a list of parts with "text"}


def completion_text(completion: str | Sequence[Message]) -> str:
    """The text of a completion: of a conversation, that of the last assistant message.

    >>> completion_text([{"role": "assistant", "content": [{"type": "text", "text": "def f(): pass"}]}])
    'def f(): pass'
    """
    if isinstance(completion, str):
        return completion
    contents = [message.get("content") for message in completion if message.get("role") == "assistant"]
    content = contents[-1] if contents else None
    if isinstance(content, list | tuple):
        return "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
    return content or ""


def gather(item: Any) -> tuple[list[Any], int]:
    """(what each rank gave, in the order of ranks; this rank's number). One process: ([item], 0).

    torch is not imported here: where nobody has imported it, there are no other ranks.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return [item], 0
    items: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(items, item)
    return items, int(distributed.get_rank())
