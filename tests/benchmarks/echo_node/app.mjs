import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';

const client = new ApiGatewayManagementApiClient({});

// serverless-offline opens no connection without a route $connect.
export const connect = async () => ({ statusCode: 200 });

export const echo = async (event) => {
  if (event.body === 'end') process.exit();
  await client.send(new PostToConnectionCommand({ ConnectionId: event.requestContext.connectionId, Data: event.body }));
  return { statusCode: 200 };
};
