"""`record:PROVIDER:MODEL` writes down what a model answers; `replay:NAME` answers from what was written.

A cassette is a file of JSON lines, one for each request that was made: what was asked, what came back or how it
failed, tokens, cost, seconds. No header is written, and what looks like a key is masked.
"""

from podium.providers.cassettes.providers import recorder_or_player

__all__ = ["recorder_or_player"]
