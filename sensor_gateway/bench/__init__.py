"""`tiltline bench`: what the numeric core, the store, the exports and the journal cost on this machine (`docs/benchmarks.md`).

Each module measures some rows and gives them as plain data; `cli/bench.py` prints them.
"""
