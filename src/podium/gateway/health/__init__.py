"""How providers fare in this process: circuit breakers, the retry budget, latencies."""
