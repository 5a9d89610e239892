"""The pictures that go with recall tables, one file a picture."""
