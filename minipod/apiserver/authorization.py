"""Whether a user may do what a request asks: the rules that hold in every cluster before any role is given.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
"""

from __future__ import annotations

from minipod.api import errors
from minipod.apiserver.http.request_info import RequestInfo
from minipod.apiserver.users import AUTHENTICATED, MASTERS, User

PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
"""What everybody may ask (system:public-info-viewer)."""
DISCOVERY = ("/api", "/apis", "/openapi")
"""What every user that has shown who he is may ask, with all below (system:discovery)."""


def authorize(user: User, info: RequestInfo) -> None:
    """Raises StatusError 403, worded as Kubernetes does."""
    if MASTERS in user.groups:
        return
    if info.is_resource:
        kind = f"{info.plural}.{info.group}" if info.group else info.plural
        raise errors.forbidden(kind, info.name, _resource_refusal(user, info))
    path = info.path.rstrip("/")
    asks = info.method in ("GET", "HEAD")
    if asks and path in PUBLIC:
        return
    if asks and AUTHENTICATED in user.groups and _is_below(path, DISCOVERY):
        return
    raise errors.forbidden("", "", f'User "{user.name}" cannot {info.method.lower()} path "{info.path}"')


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _resource_refusal(user: User, info: RequestInfo) -> str:
    resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    namespace = info.namespace or (info.name if info.plural == "namespaces" else "")
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    return f'User "{user.name}" cannot {info.verb} resource "{resource}" in API group "{info.group}" {where}'
