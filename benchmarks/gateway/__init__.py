"""What the gateway adds to a call of a model, beside others who stand at the same place: against one local stub."""
