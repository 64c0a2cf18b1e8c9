"""Middle floor: scores. The sandbox, outcome signatures, execution consensus and the mixed reward. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewards.consensus_reward import ConsensusReward

__all__ = ["ConsensusReward"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: the modules below this package stay light."""
    if name == "ConsensusReward":
        from rewards.consensus_reward import ConsensusReward

        return ConsensusReward
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
