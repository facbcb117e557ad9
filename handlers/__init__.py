"""What is deployed: each module here is the entry point of one Lambda function, `chat` is what they share."""
