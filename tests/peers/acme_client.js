// One step of an account's life with npm's acme-client.
//
// Usage: acme_client.js DIRECTORY ACCOUNT-KEY STEP…, where a step is
//
//   obtain CHALLENGE KEY CHAIN NAME…   an account if there is none, an order, the chain into a file
//   update CONTACT | roll NEW-KEY | deactivate
//   revoke CHAIN
//
// Answers to challenges go to the folders WEBROOT, ZONE and ALPN, which the tests' servers read; EAB is KEY-ID:SECRET,
// PREFERRED the name of the issuer whose chain is wanted.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const acme = require('acme-client');

const [directoryUrl, accountKey, step, ...words] = process.argv.slice(2);
const { WEBROOT, ZONE, ALPN, EAB, PREFERRED } = process.env;

function connect() {
  const options = { directoryUrl, accountKey: fs.readFileSync(accountKey) };
  if (EAB) {
    const [kid, hmacKey] = EAB.split(':');
    options.externalAccountBinding = { kid, hmacKey };
  }
  return new acme.Client(options);
}

async function answer(authorization, challenge, text) {
  const name = authorization.identifier.value;
  if (challenge.type === 'http-01') {
    fs.writeFileSync(`${WEBROOT}/.well-known/acme-challenge/${challenge.token}`, text);
  } else if (challenge.type === 'dns-01') {
    fs.appendFileSync(`${ZONE}/_acme-challenge.${name}`, `${text}\n`);
  } else {
    const [key, certificate] = await acme.crypto.createAlpnCertificate(authorization, text);
    fs.writeFileSync(`${ALPN}/${name}.key.pem`, key);
    fs.writeFileSync(`${ALPN}/${name}.crt.pem`, certificate);
  }
}

// What `auto` does, for addresses, which it orders as names.
async function obtainAddresses(client, kind, csr, addresses) {
  await client.createAccount({ termsOfServiceAgreed: true });
  const identifiers = addresses.map((value) => ({ type: 'ip', value }));
  const order = await client.createOrder({ identifiers });
  for (const authorization of await client.getAuthorizations(order)) {
    const challenge = authorization.challenges.find(({ type }) => type === kind);
    await answer(authorization, challenge, await client.getChallengeKeyAuthorization(challenge));
    await client.completeChallenge(challenge);
    await client.waitForValidStatus(challenge);
  }
  return client.getCertificate(await client.finalizeOrder(order, csr));
}

async function main() {
  const client = connect();
  if (step === 'obtain') {
    const [kind, key, chain, ...altNames] = words;
    const [, csr] = await acme.crypto.createCsr({ altNames }, fs.readFileSync(key));
    if (altNames.some((name) => net.isIP(name))) {
      fs.writeFileSync(chain, await obtainAddresses(client, kind, csr, altNames));
      return;
    }
    const text = await client.auto({
      csr,
      email: 'one@example.org',
      termsOfServiceAgreed: true,
      // It would look from where it runs, with its own idea of the name servers.
      skipChallengeVerification: true,
      challengePriority: [kind],
      challengeCreateFn: answer,
      challengeRemoveFn: async () => {},
      preferredChain: PREFERRED,
    });
    fs.writeFileSync(chain, text);
    return;
  }
  await client.createAccount({ onlyReturnExisting: true });
  if (step === 'update') {
    console.log((await client.updateAccount({ contact: words })).contact);
  } else if (step === 'roll') {
    await client.updateAccountKey(fs.readFileSync(words[0]));
  } else if (step === 'deactivate') {
    await client.updateAccount({ status: 'deactivated' });
  } else if (step === 'revoke') {
    await client.revokeCertificate(fs.readFileSync(words[0]), { reason: 4 });
  } else {
    throw new Error(`no such step: ${step}`);
  }
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
