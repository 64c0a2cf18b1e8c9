"""Whether the Hugging Face Hub can be asked, found out once and quickly: its client tries five times before it says that it cannot."""

from __future__ import annotations

import functools
import socket
import urllib.request
from urllib.parse import urlparse

SECONDS = 5.0


@functools.cache
def hub_answers() -> bool:
    """False when it is switched off (HF_HUB_OFFLINE) or nothing listens at its address. Behind a proxy only the client can tell: True."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = urlparse(constants.ENDPOINT)
    if urllib.request.getproxies():
        return True
    try:
        with socket.create_connection((address.hostname, address.port or (80 if address.scheme == "http" else 443)), timeout=SECONDS):
            return True
    except OSError:
        return False
