"""The WebSocket `/v1/track`: who is followed, the frames that wait, and the conversation with one client."""
