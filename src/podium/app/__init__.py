"""The composition root and the use-cases: the only place that names adapters."""
