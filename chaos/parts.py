"""The parts of chaos, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from chaos.disks import disks
from chaos.kills import kills
from chaos.machine import machines
from chaos.moments import moments
from chaos.part import Part
from chaos.points import points

PARTS: Final = (
    Part("points", "crash points by name, by their tests", 0.0, points),
    Part("moments", "power failures at named moments", 0.2, moments),
    Part("disks", "disks that fail at random", 0.35, disks),
    Part("kills", "kill -9 on real processes", 0.2, kills),
    Part("machine", "any order of everything", 0.25, machines),
)
"""Every part. Their shares are of the time that is left for what has no end of its own."""
