"""What the coordinator answers is read field by field and has an upper size (R8)."""

from base64 import b64encode
from typing import Any

import pytest

from mpc.certificate import MAX_CERTIFICATE_BYTES
from signers.answers import Documents
from signers.requests import ASK, MAX_OPEN_REQUESTS, NOTICE, RequestRecord
from tests.signers.lineage import SIGNING, Lineage
from wire.canonical import parse_json
from wire.fields import Fields, WireError


def shown(vault: Lineage, **changes: Any) -> Documents:
    """What arrives when an honest coordinator sends the documents, or changed ones."""
    vault.decrees = [vault.decree(vault.decide(vault.change_role(SIGNING), *"abde"))]
    documents = vault.documents(vault.decide(vault.refresh(), "a"))
    texts = {name: value for name, value in vars(documents).items() if isinstance(value, str)}
    sent = {**texts, "decisions": list(documents.decisions), **parse_json(documents.proofs().encode())}
    return Documents.read(Fields({**sent, **changes}, "documents"))


def test_documents_arrive_as_they_were_sent(vault: Lineage) -> None:
    documents = shown(vault)
    assert len(documents.certificates) == 3
    assert len(documents.decrees) == 1
    record = RequestRecord(
        documents.digest,
        "",
        "",
        "",
        documents.intent,
        documents.manifest,
        documents.source_manifest,
        documents.policy,
        documents.new_policy,
        documents.proofs(),
        ASK,
        "",
        "",
    )
    kept = record.documents()
    assert kept.decisions == ()
    assert (kept.certificates, kept.decrees) == (documents.certificates, documents.decrees)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("intent", "x" * ((1 << 15) + 1)),
        ("manifest", "x" * ((1 << 20) + 1)),
        ("policy", ""),
        ("certificates", [""] * 1025),
        ("decrees", [{}] * 257),
        ("decisions", [{}] * 257),
        ("certificates", "none"),
        ("decrees", [{}]),
    ],
)
def test_documents_have_an_upper_size(vault: Lineage, field: str, value: Any) -> None:
    with pytest.raises(WireError):
        shown(vault, **{field: value})


def test_a_certificate_that_is_none_is_empty(vault: Lineage) -> None:
    huge = b64encode(bytes(MAX_CERTIFICATE_BYTES + 1)).decode()
    assert shown(vault, certificates=[huge, "no base64!", None]).certificates == (b"", b"", b"")


def test_r17_what_was_told_is_kept_but_not_without_end(vault: Lineage) -> None:
    """An old holder needs the request to know which shares its outcome retires; a liar could send many."""
    requests = vault.members["c"].store.requests
    for number in range(MAX_OPEN_REQUESTS + 5):
        digest = f"{number:064x}"
        requests.save(
            RequestRecord(digest, "", "", "", "", "", "", "", "", "", NOTICE, "", "", received_at=number)
        )
        requests.close(digest, "Succeeded")
    kept = requests.all(open_only=False)
    assert len(kept) == MAX_OPEN_REQUESTS
    assert kept[-1].digest == f"{MAX_OPEN_REQUESTS + 4:064x}"
