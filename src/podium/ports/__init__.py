"""Protocols that the product's logic needs and adapters fulfil."""
