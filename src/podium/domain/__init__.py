"""Plain data that every layer shares: ids, states, operations, journal entries, answers, money, errors."""
