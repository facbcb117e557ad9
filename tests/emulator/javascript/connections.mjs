// Makes calls of the @connections API with the AWS SDK for JavaScript; writes what each came to, as JSON.
// Standard input: {"endpoint": URL, "calls": [[command, input], …]}; `Data` is hexadecimal.
import * as sdk from "@aws-sdk/client-apigatewaymanagementapi";
import { text } from "node:stream/consumers";

const { endpoint, calls } = JSON.parse(await text(process.stdin));
const client = new sdk.ApiGatewayManagementApiClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
  maxAttempts: 1,
});

const outcomes = [];
for (const [command, input] of calls) {
  if (input.Data !== undefined) input.Data = Buffer.from(input.Data, "hex");
  try {
    const { $metadata, ...answer } = await client.send(new sdk[`${command}Command`](input));
    const moments = Object.keys(answer).filter((name) => answer[name] instanceof Date);
    outcomes.push({ status: $metadata.httpStatusCode, answer, moments });
  } catch (error) {
    const isOfItsType = sdk[error.name] !== undefined && error instanceof sdk[error.name];
    outcomes.push({ status: error.$metadata?.httpStatusCode, name: error.name, isOfItsType });
  }
}
console.log(JSON.stringify(outcomes));
