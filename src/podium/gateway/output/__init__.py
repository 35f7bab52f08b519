"""From a model's text to a value of the declared type: read, repaired where that is safe, validated."""
