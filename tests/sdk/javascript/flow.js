"use strict";

/* Drives a live service with the vendor's JavaScript SDK: `node flow.js create` or `share`.
 *
 * Reads parameters as JSON from standard input: host (with /v2), secret (hex, Ed25519), nodes {name: id}; for
 * `share` also vault_id and main_id of a key of alice, bob and carol. Prints {step: answer}. Nothing of the SDK is
 * changed but its base path; this SDK does not verify what the service signs.
 */

const { readFileSync } = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const cobo = require("@cobo/cobo-waas2");

const TERMINAL = ["Success", "KeyGeneratingFailed", "KeyHolderConfirmationFailed"];
const WAIT_MS = 60_000;

// The SDK writes every string that it signs with console.log; standard output is for the results.
console.log = console.error;

class Flow {
  constructor(parameters) {
    const client = cobo.ApiClient.instance;
    client.setEnv({ basePath: parameters.host });
    client.setPrivateKey(parameters.secret);
    this.mpc = new cobo.WalletsMPCWalletsApi(client);
    this.nodes = parameters.nodes;
    this.parameters = parameters;
    this.results = {};
  }

  async create() {
    const vaultId = await this.vault("JavaScript SDK");
    const groupId = await this.group(vaultId, "MainGroup", ["alice", "bob", "carol"], "group");
    await this.request(vaultId, new cobo.CreateTssRequestRequest("KeyGen", groupId), "key_gen");
    await this.keep("vault_with_key", cobo.MPCVault, this.mpc.getMpcVaultById(vaultId));
    await this.lists(vaultId, "MainGroup", groupId, "");
  }

  async share() {
    const { vault_id: vaultId, main_id: mainId } = this.parameters;
    const groupId = await this.group(vaultId, "SigningGroup", ["alice", "dave"], "signing");
    const body = new cobo.CreateTssRequestRequest("KeyGenFromKeyGroup", groupId);
    body.source_key_share_holder_group = new cobo.SourceGroup(mainId);
    body.source_key_share_holder_group.tss_node_ids = [this.nodes.alice, this.nodes.bob];
    await this.request(vaultId, body, "signing_key");
    await this.keep("vault", cobo.MPCVault, this.mpc.getMpcVaultById(vaultId));
    await this.lists(vaultId, "SigningGroup", groupId, "signing_");
  }

  async vault(name) {
    const body = new cobo.CreateMpcVaultRequest(name, "Org-Controlled");
    const vault = await this.keep(
      "vault", cobo.MPCVault, this.mpc.createMpcVault({ CreateMpcVaultRequest: body }),
    );
    return vault.vault_id;
  }

  async group(vaultId, type, names, step) {
    const holders = names.map((name) =>
      cobo.CreateKeyShareHolder.constructFromObject({
        name, type: "API", tss_node_id: this.nodes[name], signer: true,
      }),
    );
    const body = new cobo.CreateKeyShareHolderGroupRequest(type, names.length, 2, holders);
    const group = await this.keep(
      step,
      cobo.KeyShareHolderGroup,
      this.mpc.createKeyShareHolderGroup(vaultId, { CreateKeyShareHolderGroupRequest: body }),
    );
    return group.key_share_holder_group_id;
  }

  async request(vaultId, body, step) {
    const made = await this.keep(
      step, cobo.TSSRequest, this.mpc.createTssRequest(vaultId, { CreateTssRequestRequest: body }),
    );
    const deadline = Date.now() + WAIT_MS;
    let request;
    do {
      await sleep(100);
      request = await this.mpc.getTssRequestById(vaultId, made.tss_request_id);
    } while (!TERMINAL.includes(request.status) && Date.now() < deadline);
    await this.keep(`${step}_end`, cobo.TSSRequest, request);
  }

  async lists(vaultId, type, groupId, prefix) {
    const groups = await this.keep(
      `${prefix}groups`,
      cobo.ListKeyShareHolderGroups200Response,
      this.mpc.listKeyShareHolderGroups(vaultId, { key_share_holder_group_type: type }),
    );
    groups.data.forEach((group) => documented(`${prefix}groups`, group, cobo.KeyShareHolderGroup));
    const requests = await this.keep(
      `${prefix}requests`,
      cobo.ListTssRequests200Response,
      this.mpc.listTssRequests(vaultId, groupId),
    );
    requests.data.forEach((request) => documented(`${prefix}requests`, request, cobo.TSSRequest));
  }

  async keep(step, type, call) {
    this.results[step] = documented(step, await call, type);
    return this.results[step];
  }
}

function documented(step, answer, type) {
  if (!(answer instanceof type)) {
    throw new Error(`${step}: ${JSON.stringify(answer)} is not a ${type.name}`);
  }
  return answer;
}

async function main() {
  const flow = new Flow(JSON.parse(readFileSync(0, "utf8")));
  await flow[process.argv[2]]();
  process.stdout.write(JSON.stringify(flow.results));
}

main().catch((error) => {
  console.error(error.body ?? error);
  process.exitCode = 1;
});
