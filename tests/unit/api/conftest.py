"""A client that talks to the application in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from bftcluster.api.app import create_app
from bftcluster.api.settings import ApiSettings
from tests.unit.api.memory_service import NOW_MS, MemoryService


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def settings() -> ApiSettings:
    return ApiSettings(
        wall_ms=lambda: NOW_MS,
        allowed_hosts=("pins.example.org",),
        allowed_origins=("https://console.example.org",),
    )


@pytest.fixture
async def client(service: MemoryService, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(service.ports, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9094") as client:
        yield client
