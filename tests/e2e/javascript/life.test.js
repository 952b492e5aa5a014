// The life of a secret through the SDK for JavaScript: commands, paginators, binary values, and which class an error has.
//
// Endpoint, region and credentials come from the environment, as they do for a program that knows nothing of Coffer. PREFIX is
// where the names of this run begin. One attempt per call, because a second one would hide what the first one got.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import {
  BatchGetSecretValueCommand,
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetRandomPasswordCommand,
  GetSecretValueCommand,
  InvalidParameterException,
  InvalidRequestException,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  ResourceNotFoundException,
  RestoreSecretCommand,
  SecretsManagerClient,
  SecretsManagerServiceException,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateSecretCommand,
  UpdateSecretVersionStageCommand,
  paginateListSecretVersionIds,
  paginateListSecrets,
} from "@aws-sdk/client-secrets-manager";

const client = new SecretsManagerClient({ maxAttempts: 1 });
const send = (Command, input) => client.send(new Command(input));

let names = 0;
const newName = () => `${process.env.PREFIX}/${++names}`;

/** A secret with one version. */
async function secret(more = {}) {
  const created = await send(CreateSecretCommand, { Name: newName(), SecretString: "one", ...more });
  return { ...created, SecretId: created.ARN };
}

const value = async (SecretId, more = {}) => (await send(GetSecretValueCommand, { SecretId, ...more })).SecretString;

/** The call is refused with an error of this class, which is also one of the service, and says so in these words. */
async function refused(Kind, text, call, name = Kind.name) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof Kind, `${error}`);
    assert.ok(error instanceof SecretsManagerServiceException);
    assert.equal(error.name, name);
    assert.equal(error.$fault, "client");
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    assert.ok(error.message.includes(text), error.message);
    return true;
  });
}

test("a secret is made, read and described", async () => {
  const Name = newName();
  const before = Date.now();
  const made = await send(CreateSecretCommand, {
    Name,
    Description: "the orders database",
    SecretString: "пароль 🔑",
    Tags: [{ Key: "team", Value: "orders" }],
  });
  assert.match(made.ARN, /^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}$/);
  assert.match(made.VersionId, /^[0-9a-f-]{36}$/);

  const got = await send(GetSecretValueCommand, { SecretId: Name });
  assert.equal(got.SecretString, "пароль 🔑");
  assert.equal(got.SecretBinary, undefined);
  assert.deepEqual(got.VersionStages, ["AWSCURRENT"]);
  assert.equal(got.VersionId, made.VersionId);
  assert.ok(got.CreatedDate instanceof Date);
  assert.ok(Math.abs(got.CreatedDate - before) < 60_000);

  const described = await send(DescribeSecretCommand, { SecretId: made.ARN });
  assert.equal(described.Description, "the orders database");
  assert.deepEqual(described.Tags, [{ Key: "team", Value: "orders" }]);
  assert.deepEqual(described.VersionIdsToStages, { [made.VersionId]: ["AWSCURRENT"] });
  assert.equal(described.LastAccessedDate.getUTCHours(), 0);
  assert.equal(described.DeletedDate, undefined);
});

test("bytes come back as bytes", async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  const { SecretId } = await secret({ SecretString: undefined, SecretBinary: bytes });
  const got = await send(GetSecretValueCommand, { SecretId });
  assert.ok(got.SecretBinary instanceof Uint8Array);
  assert.deepEqual(Uint8Array.from(got.SecretBinary), bytes);
  assert.equal(got.SecretString, undefined);
});

test("a new value leaves the one before within reach, and a label moves back", async () => {
  const { SecretId, VersionId: first } = await secret();
  const put = await send(PutSecretValueCommand, { SecretId, SecretString: "two" });
  assert.deepEqual(put.VersionStages, ["AWSCURRENT"]);
  assert.equal(await value(SecretId), "two");
  assert.equal(await value(SecretId, { VersionStage: "AWSPREVIOUS" }), "one");
  assert.equal(await value(SecretId, { VersionId: first }), "one");

  await send(UpdateSecretVersionStageCommand, {
    SecretId,
    VersionStage: "AWSCURRENT",
    RemoveFromVersionId: put.VersionId,
    MoveToVersionId: first,
  });
  assert.equal(await value(SecretId), "one");
  assert.equal(await value(SecretId, { VersionStage: "AWSPREVIOUS" }), "two");
});

test("a token makes a second put the same put", async () => {
  const { SecretId } = await secret();
  const ClientRequestToken = randomUUID();
  for (const _ of [1, 2]) {
    const put = await send(PutSecretValueCommand, { SecretId, SecretString: "two", ClientRequestToken });
    assert.equal(put.VersionId, ClientRequestToken);
  }
  const { Versions } = await send(ListSecretVersionIdsCommand, { SecretId, IncludeDeprecated: true });
  assert.equal(Versions.length, 2);
  await refused(ResourceExistsException, ClientRequestToken, () =>
    send(PutSecretValueCommand, { SecretId, SecretString: "three", ClientRequestToken }),
  );
});

test("description, value and tags are changed", async () => {
  const { SecretId } = await secret({ Tags: [{ Key: "old", Value: "" }] });
  assert.equal((await send(UpdateSecretCommand, { SecretId, Description: "new" })).VersionId, undefined);
  await send(UpdateSecretCommand, { SecretId, SecretString: "two" });
  await send(TagResourceCommand, { SecretId, Tags: [{ Key: "new", Value: "ä b" }] });
  await send(UntagResourceCommand, { SecretId, TagKeys: ["old"] });
  const described = await send(DescribeSecretCommand, { SecretId });
  assert.equal(described.Description, "new");
  assert.deepEqual(described.Tags, [{ Key: "new", Value: "ä b" }]);
  assert.equal(await value(SecretId), "two");
});

test("paginators turn every page and end", async () => {
  const prefix = newName();
  const expected = [1, 2, 3, 4, 5].map((number) => `${prefix}/${number}`);
  for (const Name of expected) await send(CreateSecretCommand, { Name });
  const pages = [];
  const input = { Filters: [{ Key: "name", Values: [prefix] }], SortOrder: "asc" };
  for await (const page of paginateListSecrets({ client, pageSize: 2 }, input)) {
    pages.push(page.SecretList.map((entry) => entry.Name));
  }
  assert.deepEqual(pages.map((page) => page.length), [2, 2, 1]);
  assert.deepEqual(pages.flat(), expected);

  const { SecretId } = await secret();
  for (const SecretString of ["two", "three"]) await send(PutSecretValueCommand, { SecretId, SecretString });
  const versions = [];
  for await (const page of paginateListSecretVersionIds({ client, pageSize: 1 }, { SecretId, IncludeDeprecated: true })) {
    assert.equal(page.Versions.length, 1);
    versions.push(...page.Versions);
  }
  assert.equal(new Set(versions.map((version) => version.VersionId)).size, 3);
});

test("a batch gives what is there and names what is not", async () => {
  const { SecretId, Name } = await secret();
  const missing = newName();
  const batch = await send(BatchGetSecretValueCommand, { SecretIdList: [SecretId, missing] });
  assert.deepEqual(batch.SecretValues.map((entry) => [entry.Name, entry.SecretString]), [[Name, "one"]]);
  assert.deepEqual(batch.Errors.map((entry) => [entry.SecretId, entry.ErrorCode]), [[missing, "ResourceNotFoundException"]]);
});

test("a deletion waits and is taken back, or does not wait", async () => {
  const { SecretId } = await secret();
  const deleted = await send(DeleteSecretCommand, { SecretId, RecoveryWindowInDays: 7 });
  const days = (deleted.DeletionDate - Date.now()) / 86_400_000;
  assert.ok(days > 6.99 && days <= 7.01, `${days} days`);
  await refused(InvalidRequestException, "because it was marked for deletion", () => value(SecretId));
  await send(RestoreSecretCommand, { SecretId });
  assert.equal(await value(SecretId), "one");
  await send(DeleteSecretCommand, { SecretId, ForceDeleteWithoutRecovery: true });
  await refused(ResourceNotFoundException, "can't find", () => value(SecretId));
});

test("errors have the class of their code", async () => {
  const { Name } = await secret();
  await refused(ResourceExistsException, "already exists", () => send(CreateSecretCommand, { Name, SecretString: "two" }));
  await refused(ResourceNotFoundException, "can't find", () => value(newName()));
  const both = { SecretId: Name, SecretString: "two", SecretBinary: Uint8Array.of(2) };
  await refused(InvalidParameterException, "both a binary", () => send(PutSecretValueCommand, both));
  // The model does not know this one, so there is no class for it.
  const wrong = () => send(CreateSecretCommand, { Name: "not a name?" });
  await refused(SecretsManagerServiceException, "Invalid name.", wrong, "ValidationException");
});

test("a signature with another key is refused", async () => {
  const credentials = { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "of somebody else" };
  const stranger = new SecretsManagerClient({ maxAttempts: 1, credentials });
  await assert.rejects(stranger.send(new GetSecretValueCommand({ SecretId: "any" })), (error) => {
    assert.equal(error.name, "InvalidSignatureException");
    assert.ok(error instanceof SecretsManagerServiceException);
    return true;
  });
});

test("a password is made up", async () => {
  const { RandomPassword } = await send(GetRandomPasswordCommand, { PasswordLength: 40, ExcludePunctuation: true });
  assert.match(RandomPassword, /^[A-Za-z0-9]{40}$/);
});
