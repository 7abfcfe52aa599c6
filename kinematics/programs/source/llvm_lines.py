"""Lines of LLVM text: fresh names, intrinsics with their declarations, and shuffles of vectors."""

from __future__ import annotations

from kinematics.programs.source.vector_type import VectorType


class Lines:
    """The body of a function as it grows; ``used`` holds the declarations it needs."""

    def __init__(self, t: VectorType):
        self.t = t
        self.lines: list[str] = []
        self.used: dict[str, str] = {}
        self.counter = 0

    def fresh(self) -> str:
        self.counter += 1
        return f"%t{self.counter}"

    def emit(self, text: str) -> str:
        target = self.fresh()
        self.lines.append(f"  {target} = {text}")
        return target

    def call(self, intrinsic: str, args: list[str]) -> str:
        v = self.t.type
        function = f"@llvm.{intrinsic}.{self.t.suffix}"
        self.used[function] = f"declare {v} {function}({', '.join([v] * len(args))})"
        return self.emit(f"call {v} {function}({', '.join(f'{v} {a}' for a in args)})")

    def shuffle(self, a: str, b: str, index: list[int]) -> str:
        v = self.t.type
        mask = ", ".join(f"i32 {k}" for k in index)
        return self.emit(f"shufflevector {v} {a}, {v} {b}, <{self.t.lanes} x i32> <{mask}>")

    def gather(self, parts: list[str], places: list[int]) -> str:
        """The vector of the elements at ``places`` of the vectors in ``parts``, end to end."""
        lanes = self.t.lanes
        found = parts[0]
        for k in range(1, max(2, len(parts))):
            other = parts[k] if k < len(parts) else "undef"
            index = []
            for lane, place in enumerate(places):
                source, at = divmod(place, lanes)
                if source == k:
                    index.append(lanes + at)
                elif source > k:
                    index.append(lane)  # still to come
                else:
                    index.append(at if k == 1 else lane)
            found = self.shuffle(found, other, index)
        return found

    def columns_of_four(self, rows: list[str]) -> list[str]:
        """Four vectors of eight states from eight rows of four numbers each.

        Rows are joined in pairs as they are loaded, which any unit can do; of what only one unit
        can do, shuffling, there is a third less than in a square transpose of eight.
        """
        half = f"<4 x {self.t.scalar}>"
        whole = ", ".join(f"i32 {k}" for k in range(8))
        joined = [
            self.emit(f"shufflevector {half} {rows[a]}, {half} {rows[b]}, <8 x i32> <{whole}>")
            for a, b in ((0, 2), (1, 3), (4, 6), (5, 7))
        ]
        even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
        first = [self.shuffle(joined[0], joined[1], index) for index in (even, odd)]
        second = [self.shuffle(joined[2], joined[3], index) for index in (even, odd)]
        low, high = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
        return [
            self.shuffle(first[parity], second[parity], index)
            for index in (low, high)
            for parity in (0, 1)
        ]

    def rows_of_four(self, columns: list[str]) -> list[str]:
        """Eight rows of four numbers from four vectors of eight states."""
        even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
        rows = [""] * 8
        for parity, index in enumerate((even, odd)):
            first = self.shuffle(columns[0], columns[1], index)
            second = self.shuffle(columns[2], columns[3], index)
            for k, pairs in enumerate(([0, 1, 8, 9, 2, 3, 10, 11], [4, 5, 12, 13, 6, 7, 14, 15])):
                both = self.shuffle(first, second, pairs)
                for half in (0, 1):
                    mask = ", ".join(f"i32 {4 * half + j}" for j in range(4))
                    v = self.t.type
                    rows[4 * k + 2 * half + parity] = self.emit(
                        f"shufflevector {v} {both}, {v} undef, <4 x i32> <{mask}>"
                    )
        return rows

    def transpose(self, rows: list[str]) -> list[str]:
        """The square transpose of ``lanes`` vectors by shuffles."""
        lanes = self.t.lanes
        if lanes == 8:
            pairs = [
                self.shuffle(
                    rows[k], rows[k + 1], [j + high for j in range(0, 8, 2) for j in (j, j + 8)]
                )
                for k in range(0, 8, 2)
                for high in (0, 1)
            ]
            even, odd = pairs[0::2], pairs[1::2]
            low = [0, 1, 4, 5, 8, 9, 12, 13]
            high_half = [2, 3, 6, 7, 10, 11, 14, 15]
            out = [""] * 8
            for parity, group in enumerate((even, odd)):
                a = self.shuffle(group[0], group[1], low)
                b = self.shuffle(group[2], group[3], low)
                c = self.shuffle(group[0], group[1], high_half)
                d = self.shuffle(group[2], group[3], high_half)
                out[parity] = self.shuffle(a, b, low)
                out[4 + parity] = self.shuffle(a, b, high_half)
                out[2 + parity] = self.shuffle(c, d, low)
                out[6 + parity] = self.shuffle(c, d, high_half)
            return out
        rows = list(rows)
        stride = 1
        while stride < lanes:
            for k in range(lanes):
                if k & stride:
                    continue
                a, b = rows[k], rows[k + stride]
                upper = [j if not j & stride else lanes + j - stride for j in range(lanes)]
                lower = [j + stride if not j & stride else lanes + j for j in range(lanes)]
                rows[k] = self.shuffle(a, b, upper)
                rows[k + stride] = self.shuffle(a, b, lower)
            stride *= 2
        return rows
