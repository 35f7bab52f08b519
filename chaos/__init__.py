"""Reliability, shown: faults of disks, processes and clocks on the real engine, by a seed that repeats them."""
