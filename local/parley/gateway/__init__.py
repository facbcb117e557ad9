"""API Gateway: WebSocket APIs, HTTP APIs and the @connections API."""
