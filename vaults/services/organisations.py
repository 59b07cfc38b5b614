"""Organisations and the people in them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from audit import services as audit
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid
from vaults.models import Member, Organisation, Role
from vaults.text import check_name


@dataclass(frozen=True)
class Administrator:
    """A new administrator; `password` is shown once and kept nowhere."""

    member: Member
    password: str = field(repr=False)


def create_organisation(*, actor: Actor, name: str) -> Organisation:
    """Make a tenant."""
    check_name(name, field="name", max_length=100)
    with transaction.atomic():
        organisation = Organisation.objects.create(name=name)
        _audit(actor, "organisation.created", f"organisation:{organisation.id}", organisation, {"name": name})
    return organisation


def set_service_signer(*, actor: Actor, organisation: Organisation, enabled: bool) -> Organisation:
    """Say whether new groups and requests may name the service's own signer; shares that it has stay."""
    with transaction.atomic():
        Organisation.objects.filter(pk=organisation.pk).update(service_signer_enabled=enabled)
        subject = f"organisation:{organisation.id}"
        _audit(actor, "organisation.service_signer_set", subject, organisation, {"enabled": enabled})
    organisation.service_signer_enabled = enabled
    return organisation


def create_admin(*, actor: Actor, organisation: Organisation, username: str, name: str) -> Administrator:
    """Make a user with a generated password who administers `organisation`.

    The first administrator of a site that has none becomes the site's administrator as well and sees every
    organisation in the admin; later ones see their own organisation only. Raises ServiceError 2040 when the
    user name is taken.
    """
    password = secrets.token_urlsafe(18)
    with transaction.atomic():
        first = not User.objects.filter(is_superuser=True).exists()
        user = create_user(actor=actor, username=username, password=password, staff=True, site_admin=first)
        member = add_member(actor=actor, organisation=organisation, user=user, role=Role.ADMIN, name=name)
    return Administrator(member, password)


def create_user(
    *, actor: Actor, username: str, password: str, staff: bool = False, site_admin: bool = False
) -> User:
    """Make a user; staff may open the admin, a site administrator sees every organisation there.

    Raises ServiceError 2040 when the user name is taken.
    """
    check_name(username, field="username", max_length=150)
    with transaction.atomic():
        try:
            with transaction.atomic():
                user = User.objects.create_user(
                    username, password=password, is_staff=staff or site_admin, is_superuser=site_admin
                )
        except IntegrityError:
            raise ServiceError(ErrorCode.DUPLICATE, f"username: {username} is taken", "username") from None
        detail = {"username": username, "site_admin": site_admin}
        _audit(actor, "user.created", f"user:{user.pk}", None, detail)

    return user


def set_email(*, actor: Actor, user: User, email: str) -> User:
    """Say where letters to the user go; "" for nowhere. Raises ServiceError 2006."""
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise invalid("email", "must be an e-mail address") from None
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(email=email)
        _audit(actor, "user.email_set", f"user:{user.pk}", None, {"set": bool(email)})
    user.email = email
    return user


def add_member(
    *, actor: Actor, organisation: Organisation, user: AbstractBaseUser, role: str, name: str
) -> Member:
    """Make a user a member of `organisation`. Raises ServiceError 2006, or 2040 when it is one already."""
    check_name(name, field="name", max_length=100)
    _check_role(role)
    if not isinstance(user, get_user_model()):
        raise invalid("user", "must be a user of this site")
    with transaction.atomic():
        try:
            with transaction.atomic():
                member = Member.objects.create(organisation=organisation, user=user, role=role, name=name)
        except IntegrityError:
            raise ServiceError(
                ErrorCode.DUPLICATE, "user: is a member of the organisation already", "user"
            ) from None
        _audit(actor, "member.added", f"member:{member.id}", organisation, {"name": name, "role": role})
    return member


def change_role(*, actor: Actor, member: Member, role: str) -> Member:
    """Give a member another role; API keys of the member lose what the new role does not allow at once."""
    _check_role(role)
    with transaction.atomic():
        swapped = Member.objects.filter(pk=member.pk, role=member.role).update(role=role)
        if swapped != 1:
            raise ServiceError(ErrorCode.WRONG_STATE, "somebody else changed the role meanwhile", "role")
        detail = {"from": member.role, "to": role}
        _audit(actor, "member.role_changed", f"member:{member.id}", member.organisation, detail)
    member.role = role
    return member


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise invalid("role", f"must be one of {', '.join(Role.values)}")


def _audit(
    actor: Actor, act: str, subject: str, organisation: Organisation | None, detail: Mapping[str, object]
) -> None:
    audit.record(
        actor=actor.label,
        act=act,
        subject=subject,
        detail=detail,
        organisation_id=str(organisation.id) if organisation else "",
    )
