"""What model calls spend, what was answered before, and the versions of the prompts that were used."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, Table, Text

from podium.storage.tables.base import metadata

budget_windows = Table(
    "budget_windows",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("budget", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("scope", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("is_money", Boolean, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("ends_at", Double),
    Column("at", Double, nullable=False),
)
"""What was spent in each window of each budget, with the budget as it was declared when that was last asked for."""

Index("ix_budget_windows_ends_at", budget_windows.c.ends_at)

budget_holds = Table(
    "budget_holds",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("budget", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("holder", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)
"""What each process holds of a window for the calls it makes. What a process that was killed held stays, as spent."""

vendor_batches = Table(
    "vendor_batches",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("begun_at", Double, nullable=False),
    Column("batch", Text),
)
"""Batches that were about to be handed in to vendors, or have been, and are not over and done with."""

Index("ix_vendor_batches_place", vendor_batches.c.place)

cached_answers = Table(
    "cached_answers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("prompt", Text, nullable=False),
    Column("answer", LargeBinary),
    Column("answer_digest", LargeBinary),
    Column("size", BigInteger, nullable=False),
    Column("stored_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
"""Answers of prompts that permit to be answered from memory, by a digest of all that was asked."""

Index("ix_cached_answers_expires_at", cached_answers.c.expires_at)
Index("ix_cached_answers_stored_at", cached_answers.c.stored_at)

similar_questions = Table(
    "similar_questions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("embeddings", Text, nullable=False),
    Column("stored_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
"""The questions of kept answers that may be given for similar ones, by the keys of the answers."""

Index(
    "ix_similar_questions_scope",
    similar_questions.c.tenant,
    similar_questions.c.scope,
    similar_questions.c.stored_at,
)
Index("ix_similar_questions_expires_at", similar_questions.c.expires_at)
Index("ix_similar_questions_stored_at", similar_questions.c.stored_at)

prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("template", Text, nullable=False),
    Column("system", Text),
    Column("schema", Text),
    Column("policy", Text, nullable=False),
    Column("first_used", Double, nullable=False),
    Column("last_used", Double, nullable=False),
    Column("uses", BigInteger, nullable=False),
)
"""The content of every prompt version that was used: once, by its name and the digest in its reference."""
