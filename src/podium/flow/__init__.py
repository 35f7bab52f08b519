"""Writing workflows: the decorators, the verbs, and the deterministic execution behind them."""
