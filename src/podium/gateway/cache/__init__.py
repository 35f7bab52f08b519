"""Answers given again: to whoever asks exactly the same, and at once to all who ask it at the same time."""
