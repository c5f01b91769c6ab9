"""Which way each character of a text runs: Unicode's bidirectional algorithm, UAX #9.

Without explicit levels (embeddings, overrides and isolates are dropped before) and without bracket pairs,
which names, file names and addresses do not need.
"""

import unicodedata


def embedding_levels(text: str) -> list[int]:
    """Direction level of each character (UAX #9, rules P2-P3, W1-W7, N1-N2, I1-I2); first is the base."""
    kinds = [unicodedata.bidirectional(char) or "L" for char in text]
    strong = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    base = 0 if strong == "L" else 1
    edge = "L" if base == 0 else "R"
    kinds = _resolve_neutral(_resolve_weak(kinds, edge), edge)
    steps = ({"R": 1, "AN": 2, "EN": 2}, {"L": 1, "AN": 1, "EN": 1})[base]
    return [base, *(base + steps.get(kind, 0) for kind in kinds)]


def _resolve_weak(kinds: list[str], edge: str) -> list[str]:
    """Numbers, separators and marks by what stands around them (W1-W7)."""
    resolved: list[str] = []
    strong = edge
    for index, kind in enumerate(kinds):
        if kind == "NSM":
            kind = resolved[-1] if resolved else edge  # noqa: PLW2901 - the rules rewrite in place
        if kind in ("L", "R", "AL"):
            strong = kind
        elif kind == "EN" and strong == "AL":
            kind = "AN"  # noqa: PLW2901
        elif kind in ("ES", "CS") and 0 < index < len(kinds) - 1:
            before, after = resolved[-1], kinds[index + 1]
            after = "AN" if after == "EN" and strong == "AL" else after
            same = before == after and (before == "EN" or (before == "AN" and kind == "CS"))
            kind = before if same else "ON"  # noqa: PLW2901
        resolved.append(kind)
    _spread_numbers(resolved)
    strong = edge
    for index, kind in enumerate(resolved):
        if kind in ("L", "R", "AL"):
            strong = kind
        resolved[index] = {"AL": "R", "ES": "ON", "CS": "ON", "ET": "ON"}.get(kind, kind)
        if kind == "EN" and strong == "L":
            resolved[index] = "L"
    return resolved


def _spread_numbers(kinds: list[str]) -> None:
    """Signs such as % and + beside a European number belong to it (W5)."""
    for order in (range(1, len(kinds)), range(len(kinds) - 2, -1, -1)):
        for index in order:
            neighbour = kinds[index - 1] if order.step > 0 else kinds[index + 1]
            if kinds[index] == "ET" and neighbour == "EN":
                kinds[index] = "EN"


def _resolve_neutral(kinds: list[str], edge: str) -> list[str]:
    """Spaces and punctuation take the direction of both sides, or else that of the paragraph (N1-N2)."""
    resolved = list(kinds)
    start = 0
    while start < len(resolved):
        if resolved[start] in ("L", "R", "EN", "AN"):
            start += 1
            continue
        end = start
        while end < len(resolved) and resolved[end] not in ("L", "R", "EN", "AN"):
            end += 1
        before = _side(resolved[start - 1]) if start else edge
        after = _side(resolved[end]) if end < len(resolved) else edge
        resolved[start:end] = [before if before == after else edge] * (end - start)
        start = end
    return resolved


def _side(kind: str) -> str:
    return "L" if kind == "L" else "R"
