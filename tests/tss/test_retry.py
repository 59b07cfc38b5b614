"""Beginning a failed request again (R20, R21, R26)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.tss.asking import policy
from tests.tss.books import check_books
from tests.tss.nodes import Site, fresh, run_job
from tss import ceremonies, services
from tss.models import Ceremony, JobKind, TssRequest
from vaults.errors import ErrorCode, ServiceError

pytestmark = pytest.mark.embedded


def failed(site: Site, *blamed: int) -> TssRequest:
    """A KeyGen whose first attempt timed out."""
    ceremony = site.started()
    ceremonies.fail(ceremony, actor=site.actor, reason="timed out", blamed=blamed)
    request = fresh(ceremony.request)
    assert (request.state, request.retryable) == ("Failed", True)
    return request


def refused(site: Site, request: TssRequest) -> str:
    version = fresh(request).version
    with pytest.raises(ServiceError) as caught:
        services.retry_request(actor=site.actor, request=request)
    assert caught.value.code is ErrorCode.WRONG_STATE
    assert fresh(request).version == version
    return caught.value.message


def test_r20_retry_is_a_new_attempt_with_a_new_session(site: Site) -> None:
    request = failed(site, 2)
    retried = services.retry_request(actor=site.actor, request=request)
    assert (retried.state, retried.attempt, retried.failed_node_ids) == ("Approved", 2, [])
    ceremony = site.start(retried)
    assert ceremony.attempt == 2
    assert Ceremony.objects.filter(request=request).values("session_id").distinct().count() == 2
    assert site.finish(ceremony).state == "Succeeded"
    check_books(request)


@pytest.mark.parametrize("state", ["AwaitingApproval", "Approved", "Running", "Succeeded", "Cancelled"])
def test_only_a_failed_request_is_retried(site: Site, state: str) -> None:
    request = site.request()
    TssRequest.objects.update(state=state, retryable=True)
    assert state in refused(site, request)


def test_final_failure_is_not_retried(site: Site) -> None:
    request = failed(site)
    TssRequest.objects.update(retryable=False)
    assert "a retry cannot help: timed out" in refused(site, request)


def test_r20_five_attempts_are_all(site: Site) -> None:
    request = failed(site)
    for attempt in range(2, 6):
        services.retry_request(actor=site.actor, request=request)
        ceremony = site.start(fresh(request))
        assert ceremony.attempt == attempt
        ceremonies.fail(ceremony, actor=site.actor, reason="timed out", blamed=[])
    assert not fresh(request).retryable
    refused(site, request)


def test_expired_request_is_not_retried(site: Site) -> None:
    request = failed(site)
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in refused(site, request)


def test_p12_intent_that_no_longer_holds_is_not_retried(site: Site) -> None:
    request = failed(site)
    policy(site, erase_grace=0)
    assert "the vault's policy changed meanwhile" in refused(site, request)


def test_group_with_another_open_request(site: Site) -> None:
    request = failed(site)
    site.request()
    assert "another open request" in refused(site, request)


def test_r26_retry_goes_on_with_what_all_have_prepared(site: Site) -> None:
    """It is no new attempt, and neither policy, expiry nor a cancel stops it."""
    ceremony = site.started()
    site.play(ceremony, rounds=3)
    ceremony.refresh_from_db()
    ceremonies.fail(ceremony, actor=site.actor, reason="reached its deadline", blamed=[])
    request = fresh(ceremony.request)
    assert (request.state, request.retryable) == ("Failed", True)
    policy(site, erase_grace=0)
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    retried = services.retry_request(actor=site.actor, request=request)
    assert (retried.state, retried.attempt) == ("Approved", 1)
    with pytest.raises(ServiceError, match="can only be completed"):
        services.cancel_request(actor=site.actor, request=request)
    services.expire_overdue()
    assert fresh(request).state == "Approved"
    run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Running"
    assert Ceremony.objects.get(request=request).state == "open"
