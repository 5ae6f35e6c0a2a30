"""Judges the audit folder with pkilint, openssl and cryptography; prints findings as JSON.

Usage: judge.py FOLDER
Prints {"judged": {"leaf": n, …}, "judges": […], "findings": [{"judge", "code", "on", "file", "text"}]}.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity

folder = pathlib.Path(sys.argv[1])
findings = []
judged = dict.fromkeys(["leaf", "issuing", "root", "crl"], 0)

CERTIFICATES = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(
        name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ])
CRLS = crl.create_pkix_crl_validator_container(
    [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ],
    [
        crl.create_issuer_validator_container([]),
        crl.create_validity_validator_container([]),
        crl.create_extensions_validator_container([]),
    ])


def find(judge, code, on, file, text):
    findings.append({"judge": judge, "code": code, "on": on, "file": file.name, "text": text})


def lint(validators, document, on, file):
    """Every finding of pkilint from a notice upwards; the worst severity is 0."""
    judged[on] += 1
    for result in validators.validate(document.root):
        for finding in result.finding_descriptions:
            if finding.finding.severity <= ValidationFindingSeverity.NOTICE:
                find("pkilint", finding.finding.code, on, file, finding.message or "")


def openssl(words, on, code, file):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    if done.returncode or "verify failure" in done.stderr:
        find("openssl", code, on, file, done.stdout + done.stderr)


def key_id(thing, kind):
    """The subject's or the authority's key identifier, if it has one."""
    try:
        value = thing.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    return value.digest if kind is x509.SubjectKeyIdentifier else value.key_identifier


def serves(leaf):
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return x509.oid.ExtendedKeyUsageOID.SERVER_AUTH in uses


def write(path, certificates):
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))


def main(scratch):
    roots = [x509.load_pem_x509_certificate(file.read_bytes())
             for file in sorted(folder.glob("root-*.pem"))]
    write(scratch / "roots.pem", roots)
    issuers, serials, seen = {}, {}, set()
    for root, file in zip(roots, sorted(folder.glob("root-*.pem"))):
        issuers[key_id(root, x509.SubjectKeyIdentifier)] = root
        document = loader.load_certificate(root.public_bytes(Encoding.DER), file.name)
        lint(CERTIFICATES, document, "root", file)

    for file in sorted(folder.glob("issuing-*.pem")):
        one = x509.load_pem_x509_certificate(file.read_bytes())
        issuers[key_id(one, x509.SubjectKeyIdentifier)] = one
        der = one.public_bytes(Encoding.DER)
        seen.add(der)
        lint(CERTIFICATES, loader.load_certificate(der, file.name), "issuing", file)

    for file in sorted(folder.glob("chain-*.pem")):
        leaf, *above = x509.load_pem_x509_certificates(file.read_bytes())
        for on, one in [("leaf", leaf)] + [("issuing", one) for one in above]:
            der = one.public_bytes(Encoding.DER)
            if on == "issuing":
                issuers[key_id(one, x509.SubjectKeyIdentifier)] = one
            if der not in seen:
                seen.add(der)
                lint(CERTIFICATES, loader.load_certificate(der, file.name), on, file)
        # No serial twice under one issuer, over everything that was ever seen.
        place = (key_id(leaf, x509.AuthorityKeyIdentifier), leaf.serial_number)
        other = serials.setdefault(place, (leaf, file))
        if other[0] != leaf:
            find("audit", "serial-twice", "leaf", file, f"also in {other[1].name}")
        write(scratch / "leaf.pem", [leaf])
        write(scratch / "above.pem", above or [leaf])
        # A profile may be for TLS clients alone.
        purpose = "sslserver" if serves(leaf) else "sslclient"
        openssl(["verify", "-x509_strict", "-no_check_time", "-purpose", purpose,
                 "-CAfile", str(scratch / "roots.pem"), "-untrusted", str(scratch / "above.pem"),
                 str(scratch / "leaf.pem")], "leaf", "verify", file)

    for file in sorted(folder.glob("crl-*.der")):
        der = file.read_bytes()
        lint(CRLS, loader.load_crl(der, file.name), "crl", file)
        issuer = issuers.get(key_id(x509.load_der_x509_crl(der), x509.AuthorityKeyIdentifier))
        if issuer is None:
            find("audit", "unknown-issuer", "crl", file, "no certificate has its key identifier")
            continue
        write(scratch / "issuer.pem", [issuer])
        openssl(["crl", "-inform", "DER", "-in", str(file), "-noout", "-verify", "-CAfile",
                 str(scratch / "issuer.pem")], "crl", "crl", file)


with tempfile.TemporaryDirectory() as scratch_folder:
    main(pathlib.Path(scratch_folder))
json.dump({"judged": judged, "judges": ["pkilint", "openssl", "audit"], "findings": findings},
          sys.stdout)
