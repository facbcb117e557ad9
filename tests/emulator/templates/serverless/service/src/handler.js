const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require('@aws-sdk/client-apigatewaymanagementapi');

module.exports.join = async () => ({ statusCode: 200 });

module.exports.leave = async () => ({ statusCode: 200 });

module.exports.say = async (event) => {
  const { connectionId, domainName, stage } = event.requestContext;
  const client = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const Data = `${process.env.STAGE}: ${JSON.parse(event.body).text}`;
  await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data }));
  return { statusCode: 200 };
};
