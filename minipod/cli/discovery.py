"""Which resources the server has, and which of them a word on the command line means.

The server's own discovery documents are asked, so that a new kind on the server needs nothing new here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minipod.cli.errors import CommandError
from minipod.client.http import ApiClient, resource_path


@dataclass(frozen=True, slots=True)
class ApiResource:
    """One row of the server's list. `api_version` is "v1" or "group/version"."""

    api_version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def words(self) -> frozenset[str]:
        """What people call it: pods, pod, po, and deployments.apps, deployments.v1.apps."""
        names = {self.plural, self.singular, self.kind.lower(), *self.short_names}
        version = self.api_version.rpartition("/")[2]
        qualified = {
            f"{n}.{s}" for n in (self.plural, self.singular) for s in (self.group, f"{version}.{self.group}")
        }
        return frozenset(names | qualified)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Its URL's path; the namespace is left out for a resource that has none."""
        where = namespace if self.namespaced else ""
        return resource_path(self.plural, where, name, subresource, api_version=self.api_version)

    def label(self, name: str) -> str:
        """As in messages and `-o name`: pod/web, deployment.apps/web."""
        return f"{self.singular}{'.' + self.group if self.group else ''}/{name}"


class Discovery:
    """Raises StatusError and ApiUnreachableError as the client does."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._versions: dict[str, list[ApiResource]] = {}

    def all(self) -> list[ApiResource]:
        """Every resource of every group, in the preferred version of each."""
        return [resource for version in self._api_versions() for resource in self._of(version)]

    def find(self, word: str) -> ApiResource:
        """What `po`, `pods` or `deployments.apps` means. Raises CommandError when the server has no such type."""
        wanted = word.lower()
        for version in self._api_versions():
            for resource in self._of(version):
                if wanted in resource.words:
                    return resource
        raise CommandError(
            f'the server doesn\'t have a resource type "{word}"'
            + suggestion(wanted, (w for r in self.all() for w in r.words if "." not in w))
        )

    def find_all(self, word: str) -> list[ApiResource]:
        """The same, but a word may also be a category such as `all`."""
        if any(word.lower() in resource.words for resource in self._of("v1")):
            return [self.find(word)]
        return [r for r in self.all() if word in r.categories] or [self.find(word)]

    def by_kind(self, api_version: str, kind: str) -> ApiResource:
        """What a manifest names. Raises CommandError when the server has no such kind."""
        served = self._of_or_none(api_version)
        for resource in served or ():
            if resource.kind == kind:
                return resource
        if served is None:
            hint = suggestion(api_version, self._api_versions())
        else:
            hint = suggestion(kind, (r.kind for r in self.all()))
        raise CommandError(f'no matches for kind "{kind}" in version "{api_version}"{hint}')

    def _api_versions(self) -> Iterator[str]:
        yield "v1"
        groups = self._get("/apis", {"groups": []})["groups"]
        yield from (group["preferredVersion"]["groupVersion"] for group in groups)

    def _of(self, api_version: str) -> list[ApiResource]:
        return self._of_or_none(api_version) or []

    def _of_or_none(self, api_version: str) -> list[ApiResource] | None:
        if api_version not in self._versions:
            path = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
            answer = self._get(path, None)
            if answer is None:
                return None
            self._versions[api_version] = [
                _resource(api_version, item) for item in answer["resources"] if "/" not in item["name"]
            ]
        return self._versions[api_version]

    def _get(self, path: str, otherwise: Any) -> Any:
        return found_or(lambda: self._api.get(path), otherwise)


def found_or(ask: Callable[[], Any], otherwise: Any) -> Any:
    """What `ask` gets, or `otherwise` when the server says NotFound."""
    try:
        return ask()
    except Exception as error:
        # Named by its reason: importing the class costs more than the whole request, and only errors need it.
        if getattr(error, "reason", "") == "NotFound":
            return otherwise
        raise


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean "pods"?)`, or nothing when no known word is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def _resource(api_version: str, item: dict[str, Any]) -> ApiResource:
    return ApiResource(
        api_version=api_version,
        kind=item["kind"],
        plural=item["name"],
        singular=item.get("singularName") or item["kind"].lower(),
        namespaced=item["namespaced"],
        short_names=tuple(item.get("shortNames") or ()),
        categories=tuple(item.get("categories") or ()),
        verbs=tuple(item.get("verbs") or ()),
    )
