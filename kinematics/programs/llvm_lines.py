"""Lines of LLVM text: fresh names, intrinsics with their declarations, and shuffles of vectors."""

from __future__ import annotations

from kinematics.programs.vector_type import VectorType


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
