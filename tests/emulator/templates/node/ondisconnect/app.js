// A callback of the SDK v2 in the callback of the handler.
const AWS = require('aws-sdk');

const table = new AWS.DynamoDB({ apiVersion: '2012-08-10' });

exports.handler = (event, context, callback) => {
  const Key = { connectionId: { S: event.requestContext.connectionId } };
  table.deleteItem({ TableName: process.env.TABLE_NAME, Key }, (error) => {
    callback(null, { statusCode: error ? 500 : 200, body: 'Disconnected.' });
  });
};
