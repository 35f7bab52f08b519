"""The tables, declared once for SQLite and PostgreSQL.

A run is named by text outside and by a number inside: the journal, by far the largest table, refers to the
number, which keeps its index small and its newest entries together.
"""

from __future__ import annotations

from podium.storage.tables.base import RowNumber, inline, metadata
from podium.storage.tables.gateway import gateway_status, server_status
from podium.storage.tables.journal import archive_values, archives, blobs, journal, kept_values
from podium.storage.tables.messages import chunks, event_keys, inbox
from podium.storage.tables.owner import owner
from podium.storage.tables.queues import (
    DEBOUNCED,
    IS_PLACED,
    OPEN_QUEUE_STATES,
    QUEUE_BEGAN,
    QUEUE_ENDED,
    QUEUE_OPEN,
    QUEUED_STATE,
    queues,
)
from podium.storage.tables.reviews import decisions, reviews
from podium.storage.tables.runs import (
    HAS_ENDED,
    IS_CHILD,
    IS_UNFINISHED,
    QUEUED,
    UNFINISHED,
    WAKES,
    attributes,
    runs,
)
from podium.storage.tables.server import api_keys, requests
from podium.storage.tables.spending import (
    budget_holds,
    budget_windows,
    cached_answers,
    prompt_versions,
    similar_questions,
    vendor_batches,
)
from podium.storage.tables.triggers import emitted, emitted_keys, triggers

__all__ = [
    "DEBOUNCED",
    "HAS_ENDED",
    "IS_CHILD",
    "IS_PLACED",
    "IS_UNFINISHED",
    "OPEN_QUEUE_STATES",
    "QUEUED",
    "QUEUED_STATE",
    "QUEUE_BEGAN",
    "QUEUE_ENDED",
    "QUEUE_OPEN",
    "UNFINISHED",
    "WAKES",
    "RowNumber",
    "api_keys",
    "archive_values",
    "archives",
    "attributes",
    "blobs",
    "budget_holds",
    "budget_windows",
    "cached_answers",
    "chunks",
    "decisions",
    "emitted",
    "emitted_keys",
    "event_keys",
    "gateway_status",
    "inbox",
    "inline",
    "journal",
    "kept_values",
    "metadata",
    "owner",
    "prompt_versions",
    "queues",
    "requests",
    "reviews",
    "runs",
    "server_status",
    "similar_questions",
    "triggers",
    "vendor_batches",
]
