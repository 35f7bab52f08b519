"""Many calls at once: planned, handed in to a vendor once, waited for durably, judged like any others."""
