"""The way to a tree over stored packs."""

from hypothesis import given
from hypothesis import strategies as st

from domain.workspaces.packs import PackEdge, pack_edge, pack_name, way_to


def _edge(known: str, tree: str) -> PackEdge:
    return PackEdge(known_tree=known, tree=tree, sha256=f"{known}-{tree}")


def test_a_name_says_both_trees() -> None:
    for length in (40, 64):
        known, tree = "a" * length, "b" * length
        assert pack_edge(pack_name(known, tree), "x") == PackEdge(known_tree=known, tree=tree, sha256="x")
    for name in ("output", "base", "branch.bundle", "pack:x..y", pack_name("a" * 40, "b" * 40) + " "):
        assert pack_edge(name, "x") is None


def test_a_folded_pack_is_taken_instead_of_the_turns_that_it_stands_for() -> None:
    turns = [_edge("base", "t1"), _edge("t1", "t2"), _edge("t2", "end")]
    assert way_to("end", "base", turns) == tuple(turns)
    assert way_to("end", "base", [*turns, _edge("base", "end")]) == (_edge("base", "end"),)
    assert way_to("t2", "base", [*turns, _edge("base", "end")]) == tuple(turns[:2])


def test_the_base_needs_no_pack_and_an_unknown_tree_has_no_way() -> None:
    assert way_to("base", "base", [_edge("base", "t1"), _edge("t1", "base")]) == ()
    assert way_to("t9", "base", [_edge("t8", "t9")]) is None


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20), st.integers(0, 6))
def test_every_way_starts_at_the_base_and_goes_on_from_tree_to_tree(pairs: list[tuple[int, int]], end: int) -> None:
    edges = [_edge(str(known), str(tree)) for known, tree in pairs]
    way = way_to(str(end), "0", edges)
    reached = {"0"}
    for _ in edges:
        reached |= {edge.tree for edge in edges if edge.known_tree in reached}
    assert (way is not None) == (str(end) in reached)
    at = "0"
    for edge in way or ():
        assert edge.known_tree == at
        at = edge.tree
    assert way is None or at == str(end)
