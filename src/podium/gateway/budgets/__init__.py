"""Budgets of model calls: reserved before a request, settled after it."""
