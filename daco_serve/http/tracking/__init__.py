"""The WebSocket `/v1/track`: its clients, their waiting frames, and the exchange of messages with each."""
