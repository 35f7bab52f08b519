"""Those that make steps durable, each a program of its own: `python -m benchmarks.contenders.NAME FILE RUNS STEPS`.

They are started by `benchmarks.contest`, in the environment that has their packages, and share one shape:
`benchmarks.contenders.shape`, which needs the standard library alone.
"""
