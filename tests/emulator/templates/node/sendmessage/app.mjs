// The AWS SDK for JavaScript v3 in an ES module, and v2 for a comparison: each posts by the URL of the event, or by one
// that it composes.
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import AWS from 'aws-sdk';

const table = new DynamoDBClient({});

export const handler = async (event) => {
  const { domainName, stage } = event.requestContext;
  const { how, text } = JSON.parse(event.body);
  const composed = `https://${process.env.API_ID}.execute-api.${process.env.AWS_REGION}.amazonaws.com/${stage}`;
  const { Items } = await table.send(new ScanCommand({ TableName: process.env.TABLE_NAME }));
  const connections = Items.map((item) => item.connectionId.S);
  if (how.startsWith('v2')) {
    const endpoint = how === 'v2 event' ? `${domainName}/${stage}` : composed;
    const api = new AWS.ApiGatewayManagementApi({ apiVersion: '2018-11-29', endpoint });
    await Promise.all(connections.map((ConnectionId) => api.postToConnection({ ConnectionId, Data: text }).promise()));
  } else {
    const endpoint = how === 'v3 event' ? `https://${domainName}/${stage}` : composed;
    const client = new ApiGatewayManagementApiClient(how === 'v3 variable' ? {} : { endpoint });
    const post = (ConnectionId) => client.send(new PostToConnectionCommand({ ConnectionId, Data: text }));
    await Promise.all(connections.map(post));
  }
  return { statusCode: 200, body: 'Data sent.' };
};
