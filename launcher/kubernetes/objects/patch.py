"""A user's patch of the Pod template, merged as Kubernetes does: maps by key, some lists by their elements' names."""

from __future__ import annotations

from typing import Any

from launcher.kubernetes.native_parts import MERGE_KEYS


def merge_patch(value: Any, patch: Any, field: str = "") -> Any:
    """``value`` with ``patch`` merged into it; None in the patch removes a key. Neither argument is changed.

    As https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch describes, without
    directives like ``$patch``.
    """
    if isinstance(value, dict) and isinstance(patch, dict):
        if not patch:
            return value
        merged = {key: each for key, each in value.items() if patch.get(key, ...) is not None}
        for key, change in patch.items():
            if change is not None:
                merged[key] = merge_patch(value.get(key), change, key)
        return merged
    if isinstance(value, list) and isinstance(patch, list) and (name := MERGE_KEYS.get(field)):
        changes = {change[name]: change for change in patch}
        kept = [merge_patch(each, changes.pop(each.get(name), {})) for each in value]
        return [*kept, *changes.values()]
    return patch
