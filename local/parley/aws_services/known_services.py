"""The services that botocore knows, by their requests: what is to be said of one that is not embedded."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MODEL_HEAD_BYTES = 6000
_MODEL_TEXT = re.compile(r'"(signingName|endpointPrefix|targetPrefix|protocol)"\s*:\s*"([^"]*)"')
_SIGNED_SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service that botocore knows: what its requests show, and the variable that botocore reads for its endpoint."""

    signing_name: str
    protocol: str
    target: str
    variable: str

    def may_send(self, signed: str, target: str, is_query: bool) -> bool:
        """Tell if a request may be this service's. `signed` is the service in its signature, empty without one."""
        if signed and self.signing_name != signed:
            return False
        if target:
            return self.target == target
        return bool(signed) and is_query == (self.protocol in ("query", "ec2"))


def signed_service(headers: Mapping[str, str]) -> str:
    """Return the service in a request's signature; empty without one. The headers' names are in lower case."""
    match = _SIGNED_SERVICE.search(headers.get("authorization", ""))
    return match[1] if match else ""


def endpoint_variables(headers: Mapping[str, str]) -> list[str]:
    """Return the variables that lead the service of a request elsewhere: several if they cannot be told apart."""
    lower = {name.lower(): value for name, value in headers.items()}
    signed, target = signed_service(lower), lower.get("x-amz-target", "").rpartition(".")[0]
    is_query = "x-www-form-urlencoded" in lower.get("content-type", "")
    services = known_services()
    exact = [each for each in services if each.may_send(signed, target, is_query)]
    found = exact or [each for each in services if signed and each.signing_name == signed]
    return list(dict.fromkeys(each.variable for each in found))


@cache
def known_services() -> tuple[KnownService, ...]:
    """Return the services of the installed botocore. Of each model only the beginning is read, which has its names."""
    import botocore

    folders = (Path(botocore.__file__).parent / "data").iterdir()
    models = {folder.name: sorted(folder.glob("*/service-2.json*")) for folder in sorted(folders) if folder.is_dir()}
    return tuple(_known_service(client, found[-1]) for client, found in models.items() if found)


def _known_service(client: str, model: Path) -> KnownService:
    from botocore.utils import CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES

    with gzip.open(model) if model.suffix == ".gz" else model.open("rb") as file:
        head = file.read(_MODEL_HEAD_BYTES).decode(errors="replace")
    texts: dict[str, str] = dict(reversed(_MODEL_TEXT.findall(head)))
    service_id = CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES.get(client, client)
    return KnownService(
        signing_name=texts.get("signingName") or texts.get("endpointPrefix", ""),
        protocol=texts.get("protocol", ""),
        target=texts.get("targetPrefix", ""),
        variable=f"AWS_ENDPOINT_URL_{service_id.upper().replace('-', '_')}",
    )
