"""One account's life with the `acme` library: register, find, update, order, finalize, revoke, deactivate.

Usage: acme_client.py DIRECTORY life ACCOUNT CHALLENGE KEY REVOKER CHAIN NAME…
       acme_client.py DIRECTORY renewal CHAIN
`life`: ACCOUNT is es256, es384 or rs256, CHALLENGE http-01 or dns-01, KEY p256, p384 or rsa2048, REVOKER account, key or none.
It serves http-01 at $ADDRESS:80, lays TXT records into $ZONE and writes the chain to the file CHAIN.
With $PREFERRED the chain is the one whose end this issuer signed. With $EAB_KID and $EAB_HMAC_KEY the account is bound to that key.
`renewal`: prints when the chain's first certificate should be renewed.
"""

import datetime
import ipaddress
import os
import pathlib
import sys
import threading

import josepy
from acme import challenges, client, crypto_util, errors, messages, standalone
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

directory, command, *rest = sys.argv[1:]

CURVES = {"es256": (ec.SECP256R1(), josepy.ES256), "es384": (ec.SECP384R1(), josepy.ES384)}
KEYS = {"p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048)}


def account_key(kind):
    """A JWK and its algorithm."""
    if kind == "rs256":
        return josepy.JWKRSA(key=KEYS["rsa2048"]()), josepy.RS256
    curve, algorithm = CURVES[kind]
    return josepy.JWKEC(key=ec.generate_private_key(curve)), algorithm


def connect(key, algorithm):
    """A client that has the key and knows of no account."""
    net = client.ClientNetwork(key, alg=algorithm, user_agent="cairn-interop/1")
    return client.ClientV2(client.ClientV2.get_directory(directory, net), net)


def is_address(name):
    return name.replace(".", "").isdigit() or ":" in name


def request(key, names):
    """A CSR for these names and addresses."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    domains = [name for name in names if not is_address(name)]
    addresses = [ipaddress.ip_address(name) for name in names if is_address(name)]
    return crypto_util.make_csr(pem, domains, ipaddrs=addresses)


def arrange(key, order, kind):
    """Makes every answer to be found; what to tell the server, and what to undo after."""
    wanted = {"http-01": challenges.HTTP01, "dns-01": challenges.DNS01}[kind]
    resources, answers, records = set(), [], []
    for authorization in order.authorizations:
        for challenge in authorization.body.challenges:
            if not isinstance(challenge.chall, wanted):
                continue
            response, validation = challenge.response_and_validation(key)
            answers.append((challenge, response))
            if kind == "http-01":
                resources.add(standalone.HTTP01RequestHandler.HTTP01Resource(
                    chall=challenge.chall, response=response, validation=validation))
            else:
                name = challenge.chall.validation_domain_name(authorization.body.identifier.value)
                record = pathlib.Path(os.environ["ZONE"], name)
                with record.open("a", encoding="ascii") as file:
                    file.write(validation + "\n")
                records.append(record)
    assert len(answers) == len(order.authorizations), answers
    if kind == "dns-01":
        return answers, lambda: [record.unlink(missing_ok=True) for record in records]
    server = standalone.HTTP01Server((os.environ["ADDRESS"], 80), resources)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return answers, server.shutdown


def preferred(order):
    """The chain that is wanted of those that there are."""
    if "PREFERRED" not in os.environ:
        return order.fullchain_pem
    def issuer(chain):
        name = x509.load_pem_x509_certificates(chain.encode())[-1].issuer
        return name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return next(chain for chain in order.alternative_fullchains_pem if issuer(chain) == os.environ["PREFERRED"])


def plain(account):
    """The account without the binding that the server repeats: the library can't send it again."""
    return account.update(body=account.body.update(external_account_binding=None))


def life(account_kind, challenge_kind, key_kind, revoker, chain, *names):
    key, algorithm = account_key(account_kind)
    acme = connect(key, algorithm)

    # The account: created, found again, updated.
    bound = {}
    if "EAB_KID" in os.environ:
        bound["external_account_binding"] = messages.ExternalAccountBinding.from_data(
            account_public_key=key.public_key(), kid=os.environ["EAB_KID"],
            hmac_key=os.environ["EAB_HMAC_KEY"], directory=acme.directory, hmac_alg="HS256")
    registration = messages.NewRegistration.from_data(
        email="one@example.org", terms_of_service_agreed=True, **bound)
    account = acme.new_account(registration)
    try:
        connect(key, algorithm).new_account(registration)
        sys.exit("the same key made a second account")
    except errors.ConflictError as found:
        assert found.location == account.uri, (found.location, account.uri)
    account = plain(acme.query_registration(plain(account)))
    contact = ("mailto:two@example.org",)
    changed = account.update(body=account.body.update(contact=contact))
    account = plain(acme.update_registration(changed))
    assert account.body.contact == contact, account.body

    # The order.
    own = KEYS[key_kind]()
    order = acme.new_order(request(own, names))
    assert len(order.authorizations) == len(names), order
    answers, undo = arrange(key, order, challenge_kind)
    for challenge, response in answers:
        acme.answer_challenge(challenge, response)
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=90)
    order = acme.poll_authorizations(order, deadline)
    order = acme.finalize_order(order, deadline, fetch_alternative_chains=True)
    undo()
    pathlib.Path(chain).write_text(preferred(order), encoding="ascii")

    leaf = x509.load_pem_x509_certificates(order.fullchain_pem.encode())[0]
    if revoker == "account":
        acme.revoke(leaf, 4)
    elif revoker == "key":
        jwk = josepy.JWKEC if key_kind.startswith("p") else josepy.JWKRSA
        sign = {"p256": josepy.ES256, "p384": josepy.ES384, "rsa2048": josepy.RS256}[key_kind]
        connect(jwk(key=own), sign).revoke(leaf, 1)

    # A good authorization can be given back; then the account.
    given = acme.deactivate_authorization(acme.poll(order.authorizations[0])[0])
    assert given.body.status == messages.STATUS_DEACTIVATED, given
    acme.deactivate_registration(account)
    try:
        acme.query_registration(account)
        sys.exit("a deactivated account was served")
    except messages.Error as refused:
        assert refused.code == "unauthorized", refused


def renewal(chain):
    when, _ = connect(*account_key("es256")).renewal_time(pathlib.Path(chain).read_bytes())
    print(when.timestamp())


{"life": life, "renewal": renewal}[command](*rest)
