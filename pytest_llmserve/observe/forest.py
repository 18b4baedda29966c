"""Several trees of processes, read as one: the replicas of a server."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.observe.process_reading import Key, Reading, TreeReader


class Forest:
    """A `TreeReader` of several; a process that is in two trees counts once.

    Args:
        trees: one or more.
    """

    def __init__(self, trees: Sequence[TreeReader]) -> None:
        self._trees = tuple(trees)
        self.tells_anon = all(tree.tells_anon for tree in self._trees)

    def readings(self, full: bool, at_once: bool = True) -> tuple[list[Reading], bool]:
        """The processes of all that could be read, and whether none ended while they were.

        Raises:
            ProbeLost: the root process of a tree has ended: half a sum would look like a small one.
        """
        found: dict[Key, Reading] = {}
        complete = True
        for tree in self._trees:
            readings, whole = tree.readings(full, at_once)
            found |= {reading.key: reading for reading in readings}
            complete = complete and whole
        return list(found.values()), complete

    def pids(self) -> frozenset[int]:
        """The processes of all.

        Raises:
            ProbeLost: the root process of a tree has ended.
        """
        return frozenset().union(*(tree.pids() for tree in self._trees))
