"""Machine code for programs: compiled once, kept on disk, called with numpy arrays or tensors.

What was tried for speed, on a server processor with two 512-bit units (an eight-lane block of the
Panda is about 930 operations of these units: 16 ns a state if they are never idle, 95 times
`abaInParallel`), measured at batch 4096:

- Prefetching rows, and the place of the answers, into the cache: 23 % off TALOS, 8 % off Solo 12.
- Rows transposed four by four instead of eight by eight (a third fewer shuffles): 5, 2 and 1 %.
- Sines by a table in registers: 12 % off a double pendulum, 4 % off the Panda.
- One state: its angles in vectors of four, 10 % off; in vectors of eight 45 % *more* on the Panda.
- No gain: order by latency (five weights, two slacks), windows of 25 to 200, other latency weights,
  16 lanes, searching elimination orders by fused instructions instead of operations (686 to 679).

On a desktop-class processor with AVX2 (Zen 3: four lanes, sixteen registers, two 256-bit units for
products; a block of the Panda is 720 of those, 360 cycles, and takes about 530), beside other work,
least of 30 to 60 interleaved rounds:

- Two vectors side by side for short programs: 20 % off a double pendulum, 7 % off a spatial chain
  of three (256 instructions); from 359 instructions on it costs 16 % and more (registers).
- Sines of three angles woven together: 9 % off a double pendulum, 6 % off the Panda and Solo 12.
- Groups of columns that overlap instead of masked loads and stores: 7, 5 and 4 % off the Panda,
  Solo 12 and TALOS.
- Traced order without a weight of latency, window of 25: 10 % off Solo 12, 1 to 6 % off TALOS,
  nothing off the Panda; one state at a time, with the woven sines, 5, 19 and 13 %.
- Constants as operands in memory: 0 to 5 %.
- No gain: LLVM's own schedulers (its list scheduler costs 40 % and more on the quadruped), a
  penalty on instructions that follow their operands (3 % off the Panda, 1 to 6 % more on the
  others), rows prefetched sooner, later or never, windows of 12 to 400.
"""
