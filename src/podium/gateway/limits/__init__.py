"""What may be asked of a provider, with a credential, or by a tenant: per minute and at once."""
