"""Token stamps of one answer in four bytes each, exact to the nanosecond."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import overload

import msgspec

RARE = 0xFFFFFFFF
"""A gap this long (4.29 s) or longer, or a negative one, does not fit into four bytes."""


class TokenStamps(msgspec.Struct, frozen=True, array_like=True, gc=False, eq=False):
    """Stamps in nanoseconds, read like a tuple of ints. Made by `token_stamps`.

    Attributes:
        first_ns: the first stamp, None when there is no stamp.
        cells: gap after gap, native byte order: 4 bytes each, unsigned; 8 bytes each, signed, when `wide`.
        wide: some gap of this answer is negative (the wall clock was set) or 4.29 s or longer.
    """

    first_ns: int | None = None
    cells: bytes = b""
    wide: bool = False

    @property
    def gaps_ns(self) -> Sequence[int]:
        """From each stamp to the next."""
        return memoryview(self.cells).cast("q" if self.wide else "I")

    @property
    def last_ns(self) -> int | None:
        """The last stamp, None when there is no stamp."""
        return None if self.first_ns is None else self.first_ns + sum(self.gaps_ns)

    def __len__(self) -> int:
        return 0 if self.first_ns is None else 1 + len(self.gaps_ns)

    def __iter__(self) -> Iterator[int]:
        return iter(()) if self.first_ns is None else accumulate(self.gaps_ns, initial=self.first_ns)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | TokenStamps) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


_NONE = TokenStamps()


def token_stamps(stamps_ns: Sequence[int]) -> TokenStamps:
    """Pack stamps. One gap that needs eight bytes makes those of the same answer eight bytes each."""
    if not stamps_ns:
        return _NONE
    gaps = [*map(sub, stamps_ns[1:], stamps_ns)]
    wide = bool(gaps) and (min(gaps) < 0 or max(gaps) >= RARE)
    return TokenStamps(stamps_ns[0], array("q" if wide else "I", gaps).tobytes(), wide)
