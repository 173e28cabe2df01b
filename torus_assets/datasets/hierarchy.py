"""Where pages lie: the containers above each page, from a map of children that may name anything.

Source: spec/datasets.md 8.1, D-19 (null children, children that are not there, cycles).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torus_assets.datasets.oddities import Oddities, objects, resource_id, text

PAGE, COURSE = "Page", "Course"  # types of levels
CONTAINERS = ("Unit", "Module", "Section")  # by depth; deeper ones are Section 2, Section 3, …
MOST_CONTAINERS = 30  # above one page; what lies deeper is left out of its levels

Levels = tuple[tuple[str, str], ...]  # (type, title), outermost first


class Node(NamedTuple):
    """A page or container of the hierarchy."""

    title: str | None  # None: untitled
    graded: bool
    children: tuple[int, ...]  # in authored order; may name ids that are not in the hierarchy


class Place(NamedTuple):
    """Where a page lies, the page itself last. `known` is false when the lookup does not have it."""

    levels: Levels
    graded: bool
    known: bool


class Places(NamedTuple):
    """The place of every node as a page, and every type that any page's levels have, outermost first."""

    by_id: dict[int, Place]
    level_types: tuple[str, ...]


def unknown_place(page_id: int | None) -> Place:
    """The place of a page that the lookup does not have: one level, named by its id."""
    return Place(((PAGE, "No page" if page_id is None else f"{PAGE} {page_id}"),), False, False)


def read_nodes(document: Mapping[str, Any], odd: Oddities) -> dict[int, Node]:
    """The hierarchy of a lookup document by resource id, in order of the ids."""
    nodes: dict[int, Node] = {}
    for key, value in objects(document, "hierarchy", odd).items():
        if not isinstance(value, Mapping):
            odd.add("hierarchy: no object", key)
            value = {}
        title, graded = text(value.get("title")), value.get("graded")
        if title is None:
            odd.add("hierarchy: no title", key)
        if graded is not None and not isinstance(graded, bool):
            odd.add("hierarchy: graded is not true or false, taken as false", key)
        nodes[key] = Node(title, graded is True, _children(key, value.get("children"), odd))
    return nodes


def _children(key: int, value: object, odd: Oddities) -> tuple[int, ...]:
    """Ids of the children, each once; null and absent are those of a page."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        odd.add("hierarchy: children are no array", key)
        return ()
    ids = [resource_id(one) for one in value]
    if None in ids:
        odd.add("hierarchy: child is no resource id, left out", key)
    return tuple(dict.fromkeys(one for one in ids if one is not None))


def places_of(nodes: Mapping[int, Node], odd: Oddities) -> Places:
    """Where every node lies; each has one parent at most, so each has one place."""
    parents = _parents(nodes, odd)
    types = _types(nodes, parents)
    within: dict[int, Levels] = {}  # levels of a container, itself included
    places: dict[int, Place] = {}
    deepest = 0
    for key in _parents_first(nodes, parents):
        node, parent = nodes[key], parents.get(key)
        above = within[parent] if parent is not None else ()
        places[key] = Place((*above, (PAGE, node.title or f"{PAGE} {key}")), node.graded, True)
        deepest = max(deepest, len(above))
        if len(above) < MOST_CONTAINERS:
            within[key] = (*above, (types[len(above)], node.title or f"Container {key}"))
        else:
            within[key] = above
            if node.children:
                odd.add(f"hierarchy: container below {MOST_CONTAINERS} others, left out of levels", key)
    return Places(places, (*types[:deepest], PAGE))


def _parents(nodes: Mapping[int, Node], odd: Oddities) -> dict[int, int]:
    """The parent of each node that has any: of several the smallest id; none where a cycle is cut."""
    parents: dict[int, int] = {}
    for key in sorted(nodes):
        for child in nodes[key].children:
            if child not in nodes:
                odd.add("hierarchy: child is not in the lookup", child)
            elif child == key:
                odd.add("hierarchy: cycle, cut at its smallest id", child)
            elif child in parents:
                odd.add("hierarchy: several parents, the smallest id is taken", child)
            else:
                parents[child] = key
    for key in _smallest_of_cycles(parents):
        odd.add("hierarchy: cycle, cut at its smallest id", key)
        del parents[key]
    return parents


def _smallest_of_cycles(parents: Mapping[int, int]) -> list[int]:
    """One node of each cycle. Every node is walked over once."""
    found: list[int] = []
    seen: set[int] = set()
    for start in parents:
        chain: list[int] = []
        key: int | None = start
        while key is not None and key not in seen:
            seen.add(key)
            chain.append(key)
            key = parents.get(key)
        if key is not None and key in chain:
            found.append(min(chain[chain.index(key) :]))
    return found


def _parents_first(nodes: Mapping[int, Node], parents: Mapping[int, int]) -> list[int]:
    below: dict[int, list[int]] = {}
    for child, parent in parents.items():
        below.setdefault(parent, []).append(child)
    order = [key for key in nodes if key not in parents]
    for key in order:  # grows while it is walked over
        order.extend(below.get(key, ()))
    return order


def _types(nodes: Mapping[int, Node], parents: Mapping[int, int]) -> tuple[str, ...]:
    """Types of containers by depth. One top container that holds every other container is the course, and units begin below it."""
    tops = [key for key, node in nodes.items() if node.children and key not in parents]
    below = (*CONTAINERS, *(f"{CONTAINERS[-1]} {number}" for number in range(2, MOST_CONTAINERS)))
    return (COURSE, *below) if len(tops) == 1 else below
