"""What the tests of flow, engine and app are made of."""
