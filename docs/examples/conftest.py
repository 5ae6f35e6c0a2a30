"""The fixture `ca`: a test CA for each test, which fails if the client broke a MUST of the RFCs."""

import pytest

import cairn_ca


@pytest.fixture
def ca():
    with cairn_ca.running() as one:
        yield one
        assert not one.findings()
