from fast import run


def handler(event, context):
    return {"statusCode": 200, "body": run(event["body"])}
