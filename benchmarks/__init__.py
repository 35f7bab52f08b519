"""What Podium costs, measured beside plain libraries doing the same work: `python -m benchmarks --help`."""
