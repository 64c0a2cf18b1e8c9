"""A `verifiers` harness for tests: one chat request to the model that the environment serves, and no program of its own."""

from __future__ import annotations

import httpx
import verifiers.v1 as vf

__all__ = ["CannedHarness"]


class CannedHarnessConfig(vf.HarnessConfig):
    pass


class CannedHarness(vf.Harness[CannedHarnessConfig]):
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
        tool_interception_url: str | None = None,
    ) -> vf.ProgramResult:
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt_text}]}
        async with httpx.AsyncClient(timeout=30) as client:
            reply = await client.post(f"{endpoint}/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})
        return vf.ProgramResult(0 if reply.is_success else 1, "", reply.text)
