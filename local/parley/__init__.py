"""The emulator: API Gateway (WebSocket and HTTP), Lambda and DynamoDB on one machine, as AWS behaves."""
