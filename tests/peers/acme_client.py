"""One account's life with the `acme` library: register, find, update, order, finalize, deactivate.

Usage: acme_client.py DIRECTORY es256|es384|rs256 CHAIN NAME…
Serves http-01 at 127.0.0.2:80 and writes the chain to the file CHAIN.
"""

import datetime
import sys
import threading

import josepy
from acme import challenges, client, crypto_util, errors, messages, standalone
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

directory, kind, chain, *names = sys.argv[1:]


def account_key():
    """A JWK and its algorithm."""
    if kind == "rs256":
        return josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048)), josepy.RS256
    curve, algorithm = {"es256": (ec.SECP256R1(), josepy.ES256),
                        "es384": (ec.SECP384R1(), josepy.ES384)}[kind]
    return josepy.JWKEC(key=ec.generate_private_key(curve)), algorithm


key, algorithm = account_key()


def connect():
    """A client that has the key and knows of no account."""
    net = client.ClientNetwork(key, alg=algorithm, user_agent="cairn-interop")
    return client.ClientV2(client.ClientV2.get_directory(directory, net), net)


acme = connect()

# The account: created, found again, updated.
registration = messages.NewRegistration.from_data(
    email="one@example.org", terms_of_service_agreed=True)
account = acme.new_account(registration)
try:
    connect().new_account(registration)
    sys.exit("the same key made a second account")
except errors.ConflictError as found:
    assert found.location == account.uri, (found.location, account.uri)
account = acme.query_registration(account)
contact = ("mailto:two@example.org",)
account = acme.update_registration(account.update(body=account.body.update(contact=contact)))
assert account.body.contact == contact, account.body

# The order, with every challenge answered from one server.
pkey = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
order = acme.new_order(crypto_util.make_csr(pkey, names))
assert len(order.authorizations) == len(names), order
resources, answers = set(), []
for authorization in order.authorizations:
    for challenge in authorization.body.challenges:
        if isinstance(challenge.chall, challenges.HTTP01):
            response, validation = challenge.response_and_validation(key)
            resources.add(standalone.HTTP01RequestHandler.HTTP01Resource(
                chall=challenge.chall, response=response, validation=validation))
            answers.append((challenge, response))
assert len(answers) == len(names), answers
server = standalone.HTTP01Server(("127.0.0.2", 80), resources)
threading.Thread(target=server.serve_forever, daemon=True).start()
for challenge, response in answers:
    acme.answer_challenge(challenge, response)
deadline = datetime.datetime.now() + datetime.timedelta(seconds=90)
order = acme.poll_and_finalize(order, deadline)
server.shutdown()
with open(chain, "w", encoding="ascii") as file:
    file.write(order.fullchain_pem)

# A good authorization can be given back; then the account.
given = acme.deactivate_authorization(acme.poll(order.authorizations[0])[0])
assert given.body.status == messages.STATUS_DEACTIVATED, given
acme.deactivate_registration(account)
try:
    acme.query_registration(account)
    sys.exit("a deactivated account was served")
except messages.Error as refused:
    assert refused.code == "unauthorized", refused
