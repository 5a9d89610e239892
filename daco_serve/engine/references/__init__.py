"""The reference photographs that a server shows: read from where they were indexed, and made smaller."""
