"""Botocore's service data: read by the zygote, shared by the environments."""

import pytest
from parley.functions.processes.loading import Libraries
from parley.functions.processes.preload import ZygotePlan

from tests.support.lambda_service import LambdaService

READS = """
    import boto3, botocore.session
    from botocore import loaders

    def handler(event, context):
        read, files = loaders.JSONFileLoader.load_file, []

        def noted(self, path):
            files.append(path.rpartition("data/")[2])
            return read(self, path)

        loaders.JSONFileLoader.load_file = noted
        session = botocore.session.Session()
        if event:
            session.set_config_variable("data_path", event)
        boto3.Session(botocore_session=session, region_name="us-east-1").client("dynamodb")
        return files
"""

CLIENTS = """
    import boto3

    def handler(event, context):
        one, other = boto3.client("dynamodb"), boto3.client("dynamodb", region_name="eu-west-1")
        operations = one.meta.service_model.operation_names
        return [one.meta.region_name, other.meta.endpoint_url, one.can_paginate("query"), one.waiter_names, operations]
"""


@pytest.fixture
async def reads(serve):
    return await serve(reads=READS)


async def test_an_environment_reads_no_data_of_a_service_that_its_code_names(reads):
    assert await reads.answer("reads", "") == []


async def test_a_session_with_a_data_path_of_its_own_reads_it(reads):
    files = await reads.answer("reads", str(reads.folder))
    assert any(file.startswith("dynamodb/") for file in files)


async def test_the_clients_are_those_that_the_environment_would_have_made(tmp_path):
    answers = []
    for name, options in {"shared": {}, "alone": {"zygote": ZygotePlan(Libraries(), {})}}.items():
        (tmp_path / name).mkdir()
        service = LambdaService(tmp_path / name, {"names": CLIENTS}, options)
        await service.lambda_.start()
        answers.append(await service.answer("names"))
        await service.lambda_.stop()
    assert answers[0] == answers[1]
    assert answers[0][:2] == ["us-east-1", "https://dynamodb.eu-west-1.amazonaws.com"]
