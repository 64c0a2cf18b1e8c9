"""What every section of a config is: frozen, and strict about its keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A config section: unknown keys are errors, values do not change during a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
