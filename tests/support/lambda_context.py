"""The context object of an invocation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LambdaContext:
    """Lambda's context beside the event, as far as our functions read it."""

    function_name: str = "ApiFunction"
    memory_limit_in_mb: int = 512
    aws_request_id: str = "8f3a1c5e-6b1d-4a57-9a3b-0d3f6a1b2c3d"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000
