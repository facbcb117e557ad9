// The AWS SDK for JavaScript v2, which reads no variable with an endpoint.
const AWS = require('aws-sdk');

const table = new AWS.DynamoDB.DocumentClient({ apiVersion: '2012-08-10', region: process.env.AWS_REGION });

exports.handler = async (event) => {
  const { connectionId } = event.requestContext;
  await table.put({ TableName: process.env.TABLE_NAME, Item: { connectionId } }).promise();
  return { statusCode: 200, body: 'Connected.' };
};
