"""The reference photographs of an index: read from where they were indexed to be shown, and how alike they are."""
