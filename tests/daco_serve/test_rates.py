"""Clients above the rate limit are told when to try again; others are served meanwhile."""

from pathlib import Path

import httpx
import pytest

from daco_core.errors import DacoError
from daco_serve.http.app import create_app
from daco_serve.http.middleware.rates import client_of, limits_of
from daco_serve.operation.keys import KeyFile
from daco_serve.operation.settings import ServeSettings

from .conftest import hosted
from .test_refusals import encoded, refused


def test_a_key_over_its_rate_limit_is_rejected_and_another_is_not(index: Path, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    busy, calm = ({"X-API-Key": keys.add(name)} for name in ("busy", "calm"))
    with hosted(index, keys=keys.path, rate_limit="4/minute") as address, httpx.Client(base_url=address) as client:
        for _ in range(3):
            assert client.post("/v1/query", content=encoded("PNG"), headers=busy).status_code == 200
        many = [("image", encoded("PNG"))] * 2
        refused(client.post("/v1/query/batch", files=many, headers=busy), 429, "too_many_requests")
        answer = client.post("/v1/query", content=encoded("PNG"), headers=busy)
        assert "4 of these in 1 minute" in refused(answer, 429, "too_many_requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert client.post("/v1/query", content=encoded("PNG"), headers=calm).status_code == 200
        # what waiting would not help is not told to wait
        too_many = client.post("/v1/query/batch", files=[("image", encoded("PNG"))] * 5, headers=calm)
        assert "4 photographs" in refused(too_many, 400, "bad_form") and "retry-after" not in too_many.headers
        # reading is another matter, and so is what is public
        assert client.get("/v1/references/0", headers=busy).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_without_keys_the_rate_limit_applies_per_address_as_given_by_a_trusted_proxy(index: Path) -> None:
    def ask(address: str, forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return httpx.post(f"{address}/v1/query", content=encoded("PNG"), headers=headers).status_code

    with hosted(index, rate_limit="1/hour") as address:  # 127.0.0.1 is trusted
        assert [ask(address, "192.0.2.1"), ask(address, "192.0.2.2"), ask(address, "192.0.2.2")] == [200, 200, 429]
    with hosted(index, rate_limit="1/hour", trusted_proxies="192.0.2.9") as address:
        assert [ask(address, "192.0.2.1"), ask(address, "192.0.2.2")] == [200, 429]


def test_all_addresses_of_an_ipv6_network_are_one_client() -> None:
    def client(address: str) -> str:
        return client_of({"client": (address, 1), "state": {}})

    assert client("2001:db8:1:2::3") == client("2001:db8:1:2:ffff::1") != client("2001:db8:1:3::3")
    assert client("192.0.2.1") != client("192.0.2.2")


def test_only_an_open_public_server_has_a_rate_limit_by_default() -> None:
    def allowed(**settings: object) -> dict[str, int]:
        return {kind: limit.amount for kind, limit in limits_of(ServeSettings(index="x", **settings)).items()}  # type: ignore[arg-type]

    assert allowed() == allowed(host="0.0.0.0") == allowed(host="0.0.0.0", open=True, rate_limit="none") == {}
    assert allowed(host="0.0.0.0", open=True) == {"query": 120, "read": 2400}
    assert allowed(rate_limit="10/second") == {"query": 10, "read": 200}


@pytest.mark.parametrize("limit", ["often", "0.5/minute", "10", "-1/minute"])
def test_an_invalid_rate_limit_is_rejected(limit: str) -> None:
    with pytest.raises(ValueError, match="120/minute"):
        ServeSettings(index="x", rate_limit=limit)


def test_a_missing_rate_limit_storage_is_reported_in_one_sentence(index: Path) -> None:
    for storage in ("async+nothing://x", "memory://"):
        with pytest.raises(DacoError, match="cannot be counted"):
            create_app(ServeSettings(index=index, rate_limit="1/hour", rate_limit_storage=storage))
