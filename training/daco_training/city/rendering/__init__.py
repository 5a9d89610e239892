"""Streets of the demo city as photographs."""
