"""A table's stream in this process: what DynamoDB Streams answers."""

from __future__ import annotations

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/1"


class StreamInMemory:
    """One shard. `changes` are the records; `refuses` makes the next GetRecords fail."""

    def __init__(self, clock):
        self.clock = clock
        self.changes = []
        self.refuses = False

    def put(self, key, old=None, **attributes):
        """Add the change of a put."""
        number = str(len(self.changes) + 1)
        new = {"id": {"S": key}, **attributes}
        images = {"Keys": {"id": {"S": key}}, "NewImage": new, "SequenceNumber": number}
        images["ApproximateCreationDateTime"] = self.clock.time()
        name = "INSERT" if old is None else "MODIFY"
        if old is not None:
            images["OldImage"] = old
        self.changes.append({"eventID": number, "eventName": name, "awsRegion": "engine", "dynamodb": images})

    async def call(self, operation, parameters):
        """Answer an operation."""
        match operation:
            case "ListStreams":
                return {"Streams": [{"StreamArn": ARN}] if parameters["TableName"] == "Orders" else []}
            case "DescribeStream":
                return {"StreamDescription": {"Shards": [{"ShardId": "shard-1"}]}}
            case "GetShardIterator":
                place = 0 if parameters["ShardIteratorType"] == "TRIM_HORIZON" else len(self.changes)
                return {"ShardIterator": str(place)}
        if self.refuses:
            self.refuses = False
            return None
        place = int(parameters["ShardIterator"])
        found = self.changes[place : place + parameters["Limit"]]
        return {"Records": found, "NextShardIterator": str(place + len(found))}
